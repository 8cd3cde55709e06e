using Flamingo.Bench.Stacks;
using Flamingo.Bench.Synthesis;
using Flamingo.Checkpoints;

namespace Flamingo.Bench.Measuring;

/// <summary>
/// The resources of the figures. Models and stacks are created when a figure first needs them, and a measurement that several figures
/// use is made once.
/// </summary>
public sealed class Workbench(BenchRequest request, TextWriter progress, TimeProvider time) : IAsyncDisposable
{
    private readonly Dictionary<string, object> _measured = new(StringComparer.Ordinal);
    private string? _folder;
    private ModelDirectory? _endless;
    private EmbeddedStack? _embedded;
    private DistributedStack? _distributed;

    public int Repetitions => request.Repetitions;

    public int Threads => request.Threads;

    public int StreamTokens => request.StreamTokens;

    /// <summary>Whether the run measures models/shapes or another small model, and not a published geometry.</summary>
    public bool IsSmall => request.Geometry is null;

    public int ComparedPrompts => request.ComparedPrompts;

    public TimeProvider Time => time;

    /// <summary>Writes a progress line for the user.</summary>
    public Task ReportAsync(string line) => progress.WriteLineAsync(line);

    /// <summary>All stages in this process, after one warm-up prompt.</summary>
    public async Task<EmbeddedStack> EmbeddedAsync(CancellationToken cancellation)
    {
        if (_embedded is not null) return _embedded;
        var model = Endless(cancellation);
        await progress.WriteLineAsync($"loading {model.Config.ModelId} …");
        _embedded = await EmbeddedStack.LoadAsync(model, request, time, cancellation);
        await progress.WriteLineAsync("warming up …");
        var prompt = _embedded.Prompts.New(shots: 1, maxTokens: 4);
        for (var round = 0; round < 3; round++) await _embedded.AskAsync(prompt, cancellation);
        return _embedded;
    }

    /// <summary>Loads a separate stack, which the caller must dispose.</summary>
    /// <param name="settings">Configuration values that override those of the request.</param>
    public async Task<EmbeddedStack> LoadAsync(IReadOnlyDictionary<string, string?> settings, CancellationToken cancellation)
    {
        var model = Endless(cancellation);
        await progress.WriteLineAsync($"loading {model.Config.ModelId} with "
            + $"{string.Join(", ", settings.Select(setting => $"{setting.Key}={setting.Value}"))} …");
        return await EmbeddedStack.LoadAsync(model,
            request with { Settings = request.Settings.Concat(settings).GroupBy(setting => setting.Key, StringComparer.OrdinalIgnoreCase)
                .ToDictionary(same => same.Key, same => same.Last().Value) }, time, cancellation);
    }

    /// <summary>The model that is measured, for a figure that loads it itself.</summary>
    public ModelDirectory Model(CancellationToken cancellation) => Endless(cancellation);

    /// <summary>Gives up the stack in this process, for a figure that needs the memory for itself; a later figure loads it again.</summary>
    public async Task UnloadAsync()
    {
        if (_distributed is not null) await _distributed.DisposeAsync();
        if (_embedded is not null) await _embedded.DisposeAsync();
        (_distributed, _embedded) = (null, null);
    }

    /// <summary>The same stages behind four hosts on loopback addresses.</summary>
    public async Task<DistributedStack> DistributedAsync(CancellationToken cancellation)
    {
        if (_distributed is not null) return _distributed;
        var embedded = await EmbeddedAsync(cancellation);
        _distributed = await DistributedStack.StartAsync(embedded, request, time, cancellation);
        var prompt = embedded.Prompts.New(shots: 1, maxTokens: 4);
        for (var round = 0; round < 3; round++) await _distributed.AskAsync(prompt, cancellation);
        return _distributed;
    }

    /// <summary>Returns the earlier measurement of this name, or makes a new one.</summary>
    public async Task<T> OnceAsync<T>(string what, Func<Task<T>> measure)
        where T : notnull
    {
        if (!_measured.TryGetValue(what, out var known)) _measured[what] = known = await measure();
        return (T)known;
    }

    public async ValueTask DisposeAsync()
    {
        if (_distributed is not null) await _distributed.DisposeAsync();
        if (_embedded is not null) await _embedded.DisposeAsync();
        if (_folder is not null) Directory.Delete(_folder, recursive: true);
    }

    private ModelDirectory Endless(
        CancellationToken cancellation) => _endless ??= EndlessModel.Create(MakeModel(cancellation), Path.Combine(Folder(), "endless"));

    private ModelDirectory MakeModel(CancellationToken cancellation)
    {
        var model = ModelDirectory.Open(request.Model);
        if (request.Geometry is null) return model;
        var target = request.Keep ?? Path.Combine(Folder(), request.Geometry.Name);
        return SyntheticModel.OpenOrWrite(request.Geometry, model, target, request.Seed, progress, cancellation);
    }

    private string Folder() => _folder ??= Directory.CreateTempSubdirectory("flamingo-bench-").FullName;
}
