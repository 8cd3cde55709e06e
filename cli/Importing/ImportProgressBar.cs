using Flamingo.Import;
using Spectre.Console;

namespace Flamingo.Cli.Importing;

/// <summary>A bar on a terminal; a line every tenth of the way elsewhere.</summary>
public static class ImportProgressBar
{
    public static async Task<T> RunAsync<T>(TextWriter error, Func<IProgress<ImportProgress>, T> import)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(error) });
        if (!console.Profile.Out.IsTerminal) return await Task.Run(() => import(new Lines(error)));
        return await console.Progress().HideCompleted(true)
            .Columns(new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn(), new TaskDescriptionColumn())
            .StartAsync(async context =>
            {
                var bar = context.AddTask("reading");
                return await Task.Run(() => import(new Bar(bar)));
            });
    }

    private sealed class Bar(ProgressTask task) : IProgress<ImportProgress>
    {
        public void Report(ImportProgress value)
        {
            task.MaxValue(Math.Max(1, value.Total));
            task.Value(value.Done);
            task.Description(Markup.Escape(value.Tensor));
        }
    }

    private sealed class Lines(TextWriter error) : IProgress<ImportProgress>
    {
        private long _tenth;

        public void Report(ImportProgress value)
        {
            var tenth = value.Total > 0 ? value.Done * 10 / value.Total : 10;
            if (tenth <= _tenth) return;
            _tenth = tenth;
            error.WriteLine($"{tenth * 10,3} %  {value}");
        }
    }
}
