using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;

namespace Flamingo.Cli.Generating;

/// <summary>
/// The options that every command with a prompt has: the model or server, the tenant, the settings, and the support set.
/// </summary>
/// <param name="takesExamples">Whether the command has the options of a support set.</param>
/// <param name="takesPin">Whether the command may keep its prompt in the server's prefix cache.</param>
public sealed class AnswererOptions(bool takesExamples = true, bool takesPin = true)
{
    private readonly SupportSetOptions? _examples = takesExamples ? new() : null;
    private readonly Option<DirectoryInfo> _model = ModelOption.Create();
    private readonly Option<Uri> _server = ServerAddress.Create(required: false);
    private readonly Option<string> _key = KeyOption.Create();
    private readonly Option<string[]> _settings = SettingOption.Create();
    private readonly Option<string> _tenant = TenantOption.Create();
    private readonly Option<double?> _pin = NumberOption.Create<double>(
        "--pin", "SECONDS",
        "Keep the computed prompt in the server's prefix cache for SECONDS, for later requests with "
        + $"the same {(takesExamples ? "examples" : "beginning")}.", 0, 31_536_000, moreThan: true);

    public void AddTo(Command command)
    {
        _examples?.AddTo(command);
        foreach (var option in new Option[] { _model, _server, _key, _tenant, _settings }) command.Add(option);
        if (takesPin) command.Add(_pin);
        command.AddRule(result =>
        {
            if (result.GetResult(_model) is not null && result.GetResult(_server) is not null)
                result.AddError("--model and --server exclude each other, because a server has its own model. Leave one of them out.");
            if (result.GetResult(_key) is not null && result.GetResult(_server) is null)
                result.AddError($"{KeyOption.Name} has no effect without --server. Leave it out, or name the server.");
            if (result.GetResult(_settings) is { } settings && result.GetResult(_server) is not null)
                result.AddError($"--{settings.Tokens.FirstOrDefault()?.Value} has no effect on a server. Set it on the server.");
        });
    }

    public bool HasExamples(SymbolResult result) => _examples?.IsGiven(result) ?? false;

    /// <summary>Address of the server; null for a model in this process.</summary>
    public Uri? Server(ParseResult parsed) => parsed.GetValue(_server);

    /// <summary>The model directory; null for the default model.</summary>
    public string? Model(ParseResult parsed) => parsed.GetValue(_model)?.FullName;

    public string Tenant(ParseResult parsed) => parsed.GetRequiredValue(_tenant);

    public SupportSetChoice? SupportSet(ParseResult parsed, FieldNames names) => _examples?.Read(parsed, names);

    public TimeSpan? Pin(ParseResult parsed) => takesPin && parsed.GetValue(_pin) is { } seconds ? TimeSpan.FromSeconds(seconds) : null;

    /// <summary>
    /// Connects to the server, or loads the model into this process and creates a support set from the example file that was named.
    /// </summary>
    /// <param name="orientation">Overrides how a model in this process treats EXIF orientations: exif or ignore; null as it says
    /// itself.</param>
    /// <exception cref="UsageException">The example file cannot be read.</exception>
    public async Task<OpenedFlamingo> OpenAsync(
        ParseResult parsed, FieldNames names, TextWriter error, CancellationToken cancellation, string? orientation = null)
    {
        foreach (var field in new[] { "pin_prefix", "prompt.pin_prefix" }) names.Add(field, _pin.Name);
        names.Add("name", "--support-set");
        if (Server(parsed) is { } address)
        {
            _examples?.RefuseFile(parsed);
            return OpenedFlamingo.Connect(parsed, address);
        }

        // Without a server, a pinned prefix is lost when this process ends after its only answer; only a conversation reuses it.
        if (_examples is not null && Pin(parsed) is not null) await error.WriteLineAsync("flamingo: --pin has no effect without --server.");
        if (Tenant(parsed) != TenantName.Default) await error.WriteLineAsync("flamingo: --tenant has no effect without --server.");

        var examples = _examples?.ReadFile(parsed, Tenant(parsed), names);
        var opened = OpenedFlamingo.Load(Model(parsed), SettingOption.Of(parsed), error, orientation);
        try
        {
            if (examples is not null) await names.AskAsync(() => opened.SupportSets.PutAsync(examples, cancellation));
            return opened;
        }
        catch
        {
            await opened.DisposeAsync();
            throw;
        }
    }
}
