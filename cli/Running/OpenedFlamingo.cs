using System.CommandLine;
using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Client;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Spectre.Console;

namespace Flamingo.Cli.Running;

/// <summary>
/// A model in this process or a connection to a running server, through the interfaces that both implement. Disposing unloads the model
/// or closes the connection.
/// </summary>
public sealed class OpenedFlamingo(
    IFlamingo flamingo, ITasks tasks, ISupportSets supportSets, ILatentCacheOperations latentCache, IDisposable owner) : IAsyncDisposable
{
    // Calls are retried so that a command survives the restart of a server.
    private const int Attempts = 4;

    public IFlamingo Flamingo { get; } = flamingo;

    public ITasks Tasks { get; } = tasks;

    public ISupportSets SupportSets { get; } = supportSets;

    public ILatentCacheOperations LatentCache { get; } = latentCache;

    /// <summary>Loads a model into this process.</summary>
    /// <inheritdoc cref="EmbeddedServices.Build"/>
    /// <exception cref="CheckpointException">The directory is damaged or incomplete.</exception>
    /// <param name="orientation">As <see cref="ModelDirectory.WithOrientation"/>; null leaves it as the model has it.</param>
    public static OpenedFlamingo Load(
        string? modelDirectory, IReadOnlyList<string> settings, TextWriter error, string? orientation = null)
    {
        var services = EmbeddedServices.Build(modelDirectory, settings, stages =>
        {
            if (orientation is not null) stages.AddSingleton(provider => ModelDirectory.Open(
                provider.GetRequiredService<IConfiguration>()["Model:Directory"]!).WithOrientation(orientation));
            stages.AddEmbeddedFlamingo();
        });
        try
        {
            var directory = services.GetRequiredService<IConfiguration>()["Model:Directory"]!;
            var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(error) });
            var flamingo = console.Profile.Out.IsTerminal
                ? console.Status().Start($"loading {Markup.Escape(directory)}", _ => services.GetRequiredService<IFlamingo>())
                : services.GetRequiredService<IFlamingo>();
            return new OpenedFlamingo(
                flamingo, services.GetRequiredService<ITasks>(), services.GetRequiredService<ISupportSets>(),
                services.GetRequiredService<ILatentCacheOperations>(), services);
        }
        catch
        {
            services.Dispose();
            throw;
        }
    }

    /// <summary>Creates a client of a running server, with the key of <see cref="KeyOption"/>. It connects with its first call.</summary>
    /// <exception cref="Reporting.UsageException">The key cannot be one, or a certificate cannot be used.</exception>
    public static OpenedFlamingo Connect(ParseResult parsed, Uri server)
    {
        var key = KeyOption.Of(parsed);
        if (key is not null && server is { Scheme: "http", IsLoopback: false })
            parsed.InvocationConfiguration.Error.WriteLine(
                $"flamingo: the key goes to {server.Host} without TLS, so that everybody on the way can read it. Use https:// and a "
                    + "server or a proxy with TLS.");
        var (authorities, own) = CertificateOptions.Read(parsed);
        var client = new FlamingoClient(new FlamingoClientOptions
        {
            Addresses = [server.GetLeftPart(UriPartial.Authority)], Attempts = Attempts, Key = key,
            TrustedCertificates = authorities, ClientCertificate = own,
        });
        return new OpenedFlamingo(client, client, client, client, client);
    }

    public ValueTask DisposeAsync()
    {
        if (owner is IAsyncDisposable services) return services.DisposeAsync();
        owner.Dispose();
        return ValueTask.CompletedTask;
    }
}
