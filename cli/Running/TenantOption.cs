using System.CommandLine;
using Flamingo.Abstractions;

namespace Flamingo.Cli.Running;

/// <summary>The <c>--tenant</c> option, which is the same for all commands.</summary>
public static class TenantOption
{
    public static Option<string> Create()
    {
        var option = new Option<string>("--tenant")
        {
            HelpName = "NAME", DefaultValueFactory = _ => TenantName.Default,
            Description =
                "The tenant of the request. A tenant cannot see pictures, ids or support sets of other tenants. Default: the default "
            + "tenant.",
        };
        option.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var name }] && !(name.Length > 0 && TenantName.IsWellFormed(name)))
                result.AddError($"--tenant: '{name}' is not a valid name. Use 1 to {TenantName.MostCharacters} of A-Z a-z 0-9 . _ -");
        });
        return option;
    }
}
