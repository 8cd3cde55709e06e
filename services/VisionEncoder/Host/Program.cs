using Flamingo.VisionEncoder.Execution;
using Flamingo.ServiceDefaults;
using Flamingo.Transport.Serving;

return await ServiceProgram.RunAsync(args,
    builder => builder.Services.AddVisionEncoderStage().AddStageServing(),
    app => app.MapVisionEncoder());
