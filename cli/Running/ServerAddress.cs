using System.CommandLine;
using System.CommandLine.Parsing;

namespace Flamingo.Cli.Running;

/// <summary>The <c>--server</c> option with the address of a gateway, which is the same for all commands.</summary>
public static class ServerAddress
{
    /// <param name="required">Whether the command needs a server.</param>
    public static Option<Uri> Create(bool required) => new("--server", "-s")
    {
        HelpName = "URL", CustomParser = Parse, Required = required,
        Description = required
            ? "The running server: its gRPC port or its HTTP port, for example http://localhost:8080."
            : "Ask a running server, at its gRPC or its HTTP port, instead of loading a model, for example http://localhost:8080.",
    };

    private static Uri? Parse(ArgumentResult result)
    {
        var text = result.Tokens[0].Value;
        if (Uri.TryCreate(text, UriKind.Absolute, out var address) && (address.Scheme is "http" or "https")) return address;
        result.AddError($"--server: '{text}' is not an address. Use the form http://host:8080.");
        return null;
    }
}
