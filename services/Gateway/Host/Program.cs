using Flamingo.Gateway;
using Flamingo.Gateway.Doors;
using Flamingo.Gateway.Security;
using Flamingo.ServiceDefaults;
using Flamingo.Transport.Remote;
using Flamingo.Transport.Serving;

return await ServiceProgram.RunAsync(args,
    builder => builder.Services.AddRemoteStages().AddGatewayPipeline().AddStageServing().AddHttpDoors()
        .AddFlamingoSecurity(),
    app => app.UseHttpDoors().UseFlamingoSecurity().MapFlamingo().MapHttpDoors());
