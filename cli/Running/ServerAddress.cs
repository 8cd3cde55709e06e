using System.CommandLine.Parsing;

namespace Flamingo.Cli.Running;

/// <summary>The address of a gateway on the command line.</summary>
public static class ServerAddress
{
    public static Uri? Parse(ArgumentResult result)
    {
        var text = result.Tokens[0].Value;
        if (Uri.TryCreate(text, UriKind.Absolute, out var address) && (address.Scheme is "http" or "https")) return address;
        result.AddError($"--server: '{text}' is no address. Use the form http://host:8080.");
        return null;
    }
}
