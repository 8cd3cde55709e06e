using Flamingo.Resampler.Execution;
using Flamingo.ServiceDefaults;
using Flamingo.Transport.Serving;

return await FlamingoService.RunAsync(args,
    builder => builder.Services.AddResamplerStage().AddStageServing(),
    app => app.MapResampler());
