using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Transport.Remote;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Spectre.Console;

namespace Flamingo.Cli.Running;

/// <summary>Something that answers, and what must be given back after the answer.</summary>
public sealed class OpenedFlamingo(IFlamingo flamingo, ITasks tasks, ISupportSets supportSets, IDisposable owner) : IAsyncDisposable
{
    public IFlamingo Flamingo { get; } = flamingo;

    public ITasks Tasks { get; } = tasks;

    public ISupportSets SupportSets { get; } = supportSets;

    /// <summary>Loads a model into this process.</summary>
    /// <inheritdoc cref="EmbeddedServices.Build"/>
    /// <exception cref="Checkpoints.CheckpointException">The directory is damaged or incomplete.</exception>
    public static OpenedFlamingo Load(string? modelDirectory, IReadOnlyList<string> settings, TextWriter error)
    {
        var services = EmbeddedServices.Build(modelDirectory, settings, stages => stages.AddEmbeddedFlamingo());
        try
        {
            var directory = services.GetRequiredService<IConfiguration>()["Model:Directory"]!;
            var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(error) });
            var flamingo = console.Profile.Out.IsTerminal
                ? console.Status().Start($"loading {Markup.Escape(directory)}", _ => services.GetRequiredService<IFlamingo>())
                : services.GetRequiredService<IFlamingo>();
            return new OpenedFlamingo(flamingo, services.GetRequiredService<ITasks>(), services.GetRequiredService<ISupportSets>(), services);
        }
        catch
        {
            services.Dispose();
            throw;
        }
    }

    /// <summary>Asks a running server; nothing is connected before the first question.</summary>
    public static OpenedFlamingo Connect(Uri server)
    {
        var remote = ConnectToAll(server);
        return new OpenedFlamingo(remote, remote, remote, remote);
    }

    /// <summary>The same with what only a server has: its cache.</summary>
    public static RemoteFlamingo ConnectToAll(Uri server) => new(server.GetLeftPart(UriPartial.Authority));

    public ValueTask DisposeAsync()
    {
        if (owner is IAsyncDisposable services) return services.DisposeAsync();
        owner.Dispose();
        return ValueTask.CompletedTask;
    }
}
