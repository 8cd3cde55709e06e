using Spectre.Console;

namespace Flamingo.Cli.Reporting;

/// <summary>One progress report of a long command.</summary>
/// <param name="Total">In the unit of Done; 0 while the total is unknown.</param>
/// <param name="Current">A name of the current step or file, for display.</param>
public readonly record struct Progressed(long Done, long Total, string Current);

/// <summary>Shows a progress bar on a terminal, and otherwise writes a line after every tenth of the work.</summary>
public static class ProgressBar
{
    public static async Task<T> RunAsync<T>(TextWriter error, Func<Action<Progressed>, Task<T>> work)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(error) });
        if (!console.Profile.Out.IsTerminal) return await Task.Run(() => work(new Lines(error).Report));
        return await console.Progress().HideCompleted(true)
            .Columns(new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn(), new TaskDescriptionColumn())
            .StartAsync(async context =>
            {
                var bar = context.AddTask("reading");
                return await Task.Run(() => work(progress => Show(bar, progress)));
            });
    }

    private static void Show(ProgressTask bar, Progressed progress)
    {
        bar.MaxValue(Math.Max(1, progress.Total));
        bar.Value(progress.Done);
        bar.Description(Markup.Escape(progress.Current));
    }

    private sealed class Lines(TextWriter error)
    {
        private readonly Lock _lock = new();
        private long _tenth;

        public void Report(Progressed progress)
        {
            lock (_lock)
            {
                var tenth = progress.Total > 0 ? progress.Done * 10 / progress.Total : 10;
                if (tenth <= _tenth) return;
                _tenth = tenth;
                error.WriteLine($"{tenth * 10,3} %  {progress.Current}");
            }
        }
    }
}
