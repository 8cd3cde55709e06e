using Flamingo.LanguageModel.Execution;
using Flamingo.ServiceDefaults;
using Flamingo.Transport.Serving;

return await ServiceProgram.RunAsync(args,
    builder => builder.Services.AddLanguageModelStage().AddStageServing(),
    app => app.MapLanguageModel());
