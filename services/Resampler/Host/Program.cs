using Flamingo.Resampler.Execution;
using Flamingo.ServiceDefaults;
using Flamingo.Transport.Serving;

return await ServiceProgram.RunAsync(args,
    builder => builder.Services.AddResamplerStage().AddStageServing(),
    app => app.MapResampler());
