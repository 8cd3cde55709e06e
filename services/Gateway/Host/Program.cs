using Flamingo.Gateway;
using Flamingo.ServiceDefaults;
using Flamingo.Transport.Remote;
using Flamingo.Transport.Serving;

return await ServiceProgram.RunAsync(args,
    builder => builder.Services.AddRemoteStages().AddGatewayPipeline().AddStageServing(),
    app => app.MapFlamingo());
