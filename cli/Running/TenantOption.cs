using System.CommandLine;
using Flamingo.Abstractions;

namespace Flamingo.Cli.Running;

/// <summary>The <c>--tenant</c> option as every command spells it.</summary>
public static class TenantOption
{
    public static Option<string> Create()
    {
        var option = new Option<string>("--tenant")
        {
            HelpName = "NAME", DefaultValueFactory = _ => TenantName.Default,
            Description = "Who asks: no picture, id or support set of one tenant is seen by another. Default: the default tenant.",
        };
        option.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var name }] && !(name.Length > 0 && TenantName.IsWellFormed(name)))
                result.AddError($"--tenant: '{name}' is no name of a tenant. Use 1 to {TenantName.MostCharacters} of A-Z a-z 0-9 . _ -");
        });
        return option;
    }
}
