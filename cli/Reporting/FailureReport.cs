using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Evaluation.Datasets;
using Microsoft.Extensions.Options;

namespace Flamingo.Cli.Reporting;

/// <summary>Turns an exception into lines on standard error and an exit code. It never prints a stack trace.</summary>
public static class FailureReport
{
    public static int Write(Exception exception, TextWriter error)
    {
        foreach (var line in Lines(exception)) error.WriteLine($"flamingo: {line}");
        return exception switch
        {
            UsageException or OptionsValidationException => ExitCode.Usage,
            AggregateException several when several.InnerExceptions.All(inner => inner is OptionsValidationException) => ExitCode.Usage,
            OperationCanceledException => ExitCode.Interrupted,
            _ => ExitCode.Failed,
        };
    }

    private static IEnumerable<string> Lines(Exception exception) => exception switch
    {
        UsageException usage => usage.Faults,
        FlamingoException { Faults.Count: > 0 } refused => refused.Faults.Select(fault => fault.ToString()),
        FlamingoException { Kind: FlamingoErrorKind.NotFound, MissingResource: FlamingoException.Picture } missing =>
        [
            missing.Message, .. missing.Missing.Select(id => $"the server does not hold picture {id}. Send its file again."),
            .. missing.IsAnyMissing ? ["the server does not hold more pictures than these. Send all files again."] : Array.Empty<string>(),
        ],
        FlamingoException { RetryAfter: { } wait } busy => [$"{busy.Message} Try again in {wait.TotalSeconds:0.#} s."],
        FlamingoException stage => [stage.Message],
        OptionsValidationException options => options.Failures,
        CheckpointException or BenchmarkException or IOException or UnauthorizedAccessException => [exception.Message],
        OperationCanceledException => ["cancelled."],
        AggregateException several => several.InnerExceptions.SelectMany(Lines),
        TypeInitializationException { InnerException: { } inner } => Lines(inner),
        _ => [
            $"{exception.GetType().Name}: {exception.Message.ReplaceLineEndings(" ")} This is a defect: please report it with the "
                + $"command that you ran."],
    };
}
