using Flamingo.VisionEncoder.Execution;
using Flamingo.ServiceDefaults;
using Flamingo.Transport.Serving;

return await FlamingoService.RunAsync(args,
    builder => builder.Services.AddVisionEncoderStage().AddStageServing(),
    app => app.MapVisionEncoder());
