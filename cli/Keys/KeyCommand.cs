using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Configuration;
using Flamingo.Gateway.Security;
using Flamingo.Gateway.Security.Keys;
using Flamingo.ServiceDefaults;
using Microsoft.Extensions.Configuration;

namespace Flamingo.Cli.Keys;

/// <summary><c>flamingo key</c> makes, lists and revokes the keys of a gateway in the file that <c>Security:KeysFile</c> names.</summary>
public static class KeyCommand
{
    private static readonly string[] Dates = ["yyyy-MM-dd", "yyyy-MM-ddTHH:mm:ssK", "yyyy-MM-ddTHH:mmK"];

    public static Command Create() =>
        new("key", "Make, list and revoke the keys that a gateway asks its callers for.") { New(), List(), Revoke() };

    private static Command New()
    {
        var tenant = new Option<string>("--tenant")
        {
            HelpName = "NAME", Required = true,
            Description = "The tenant whose calls the key makes: 1 to 128 of A-Z a-z 0-9 . _ -, or an empty text for the default tenant.",
        };
        tenant.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var name }] && !TenantName.IsWellFormed(name))
                result.AddError($"--tenant: '{name}' is not a valid name. Use 1 to {TenantName.MostCharacters} of A-Z a-z 0-9 . _ -");
        });
        var role = new Option<string>("--role")
        {
            HelpName = "ROLE",
            Description = "user or operator: an operator may also make the calls that concern all tenants, such as 'cache clear'. "
                + "Default: user.",
        }.MustBeOneOf(KeyEntry.User, KeyEntry.Operator);
        var expires = new Option<DateTimeOffset?>("--expires")
        {
            HelpName = "DURATION|DATE", CustomParser = ParseEnd,
            Description = "When the key ends: after a duration (90d, 12h) or at a date (2027-01-31, in UTC, or 2027-01-31T18:00+01:00). "
            + "Default: never.",
        };
        var note = new Option<string>("--note") { HelpName = "TEXT", Description = "A text to recognise the key by in 'key list'." };
        var file = FileOption();
        var command = new Command(
            "new", "Make a key, add it to the file, and print it. It is shown only now: the file holds a digest of its secret.")
        {
            tenant, role, expires, note, file,
        };
        command.SetAction(async (parsed, _) =>
        {
            var (keys, key) = (Keys(parsed, file), AccessKey.New());
            keys.Change(entries => entries.Add(new KeyEntry
            {
                Id = key.Id, Sha256 = Convert.ToHexStringLower(key.Digest()), Tenant = parsed.GetRequiredValue(tenant),
                Role = parsed.GetValue(role) ?? KeyEntry.User, Created = Now(), Expires = parsed.GetValue(expires),
                Note = parsed.GetValue(note) ?? "",
            }));
            await parsed.InvocationConfiguration.Error.WriteLineAsync(
                $"flamingo: the key {key.Id} was added to {keys.Path}. Keep it now, because it cannot be shown again:");
            await parsed.InvocationConfiguration.Output.WriteLineAsync(key.Reveal());
            return ExitCode.Done;
        });
        return command;
    }

    private static Command List()
    {
        var file = FileOption();
        var json = new Option<bool>("--json") { Description =
            "Print one JSON object per key: id, tenant, role, created, expires, state, note." };
        var command = new Command("list", "List the keys of the file, without their secrets, which nobody has.") { file, json };
        command.SetAction(async (parsed, _) =>
        {
            var (entries, output) = (Keys(parsed, file).Read(), parsed.InvocationConfiguration.Output);
            if (parsed.GetValue(json))
            {
                foreach (var entry in entries)
                    await output.WriteLineAsync(JsonSerializer.Serialize(
                        new { entry.Id, entry.Tenant, entry.Role, entry.Created, entry.Expires, State = State(entry), entry.Note },
                            Page.Json));
                return ExitCode.Done;
            }

            var table = Page.Table("id", "tenant", "role", "created", "expires", "state", "note");
            foreach (var entry in entries)
                Page.AddRow(
                    table, entry.Id, entry.Tenant.Length == 0 ? "(default)" : entry.Tenant, entry.Role, $"{entry.Created:u}",
                    entry.Expires is { } end ? $"{end.UtcDateTime:u}" : "never", State(entry), entry.Note);
            Page.Write(output, table);
            return ExitCode.Done;
        });
        return command;

        static string State(KeyEntry entry) => entry.Expires <= Now() ? "expired" : "holds";
    }

    private static Command Revoke()
    {
        var id = new Argument<string>("ID") { Description =
            "The id of the key: the part between flm_ and the next _, as 'key list' prints it." };
        var file = FileOption();
        var command = new Command(
            "revoke", "Remove a key from the file. Running gateways refuse it within a second; answers that have begun are finished.")
        {
            id, file,
        };
        command.SetAction(async (parsed, _) =>
        {
            var (keys, name) = (Keys(parsed, file), parsed.GetRequiredValue(id));
            name = AccessKey.Parse(name)?.Id ?? name; // a whole key is taken too, and not printed
            if (!File.Exists(keys.Path)) keys.Read(); // throws; a change would create the file
            keys.Change(entries =>
            {
                if (entries.RemoveAll(entry => entry.Id == name) == 0)
                    throw new UsageException($"{keys.Path} has no key of this id. 'flamingo key list' prints the ids.");
            });
            await parsed.InvocationConfiguration.Output.WriteLineAsync($"Revoked {name}.");
            return ExitCode.Done;
        });
        return command;
    }

    private static Option<string> FileOption() => new("--file", "-f")
    {
        HelpName = "FILE", Description = "The file of keys. Default: what the gateway reads, the option Security:KeysFile (variable "
        + "Security__KeysFile, or appsettings.json in the current directory).",
    };

    private static KeyFile Keys(ParseResult parsed, Option<string> option)
    {
        if (parsed.GetValue(option) is { Length: > 0 } named) return new KeyFile(named);
        var configuration = new ConfigurationManager();
        configuration.AddOptionSources([]);
        return new OptionSection<SecurityOptions>(configuration, SecurityOptions.Section).Read().KeysFile is { Length: > 0 } file
            ? new KeyFile(file)
            : throw new UsageException("No file of keys is named. Give --file FILE, or set Security__KeysFile as for the gateway.");
    }

    private static DateTimeOffset? ParseEnd(ArgumentResult result)
    {
        var (text, now) = (result.Tokens[0].Value, Now());
        DateTimeOffset? end =
            Quantity.TryParseDuration(text, out var life) && life < TimeSpan.FromDays(36_500) ? now + life
            : DateTimeOffset.TryParseExact(
                text, Dates, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var date)
                ? date : null;
        if (end is null) result.AddError($"--expires: '{text}' is neither a duration such as 90d nor a date such as 2027-01-31.");
        else if (end <= now) result.AddError($"--expires: '{text}' is not in the future.");
        return end;
    }

    // Whole seconds, as people read them.
    private static DateTimeOffset Now() => DateTimeOffset.FromUnixTimeSeconds(TimeProvider.System.GetUtcNow().ToUnixTimeSeconds());
}
