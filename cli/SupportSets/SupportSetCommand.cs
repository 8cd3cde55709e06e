using System.CommandLine;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;

namespace Flamingo.Cli.SupportSets;

/// <summary><c>flamingo support-set</c> manages named lists of examples on a running server.</summary>
public static class SupportSetCommand
{
    public static Command Create() =>
        new("support-set", "Manage named lists of examples on a running server, which --support-set puts before a prompt.")
        {
            Put(), Get(), List(), Delete(),
        };

    private static Command Put()
    {
        var examples = new Argument<string>("FILE")
        {
            Description = "A file with one JSON object {\"picture\": \"path relative to the file\", \"text\": \"Output:A dog.\"} per line. "
            + "Instead of 'picture' an object may have 'video' (an animated GIF or WebP) or 'frames' (a list of paths), "
            + "with 'max_frames'. '-' is standard input.",
        };
        var life = NumberOption.Create<double>(
            "--ttl", "SECONDS", "Delete the set after SECONDS, at most ten years. Default: never.", 0, 315_360_000, moreThan: true);
        var version = NumberOption.Create<long>(
            "--expected-version", "N",
            "Fail unless the set has version N; 0 means that it must not exist yet. Default: replace any version.", least: 0);
        return CreateQuery("put", "Create a set from the examples of a file, or replace a set and increment its version.",
            [Name(), examples], [life, version], async (parsed, sets, tenant, cancellation) =>
        {
            var names = new FieldNames();
            names.Add("name", "NAME");
            names.Add("time_to_live", life.Name);
            names.Add("expected_version", version.Name);
            var read = ExampleFile.Read(parsed.GetRequiredValue(examples), names);
            TimeSpan? timeToLive = parsed.GetValue(life) is { } seconds ? TimeSpan.FromSeconds(seconds) : null;
            var name = parsed.GetRequiredValue<string>("NAME");
            var set = new PutSupportSet(name, read, timeToLive, parsed.GetValue(version)) { Tenant = tenant };
            return [await names.AskAsync(() => sets.PutAsync(set, cancellation))];
        });
    }

    private static Command Get() => CreateQuery(
        "get", "Print the examples of a set: the id of each picture and its text.", [Name()], [],
        async (parsed, sets, tenant, cancellation) => [await sets.GetAsync(tenant, parsed.GetRequiredValue<string>("NAME"), cancellation)],
        whole: true);

    private static Command List() => CreateQuery(
        "list", "List all sets of the tenant by name.", [], [], (_, sets, tenant, cancellation) => sets.ListAsync(tenant, cancellation));

    private static Command Delete()
    {
        var (name, server, tenant) = (Name(), ServerAddress.Create(required: true), TenantOption.Create());
        var command = new Command("delete", "Delete a set.") { name, server, KeyOption.Create(), tenant };
        CertificateOptions.AddTo(command, server);
        command.SetAction(async (parsed, cancellation) =>
        {
            await using var opened = OpenedFlamingo.Connect(parsed, parsed.GetRequiredValue(server));
            await opened.SupportSets.DeleteAsync(parsed.GetRequiredValue(tenant), parsed.GetRequiredValue(name), cancellation);
            await parsed.InvocationConfiguration.Output.WriteLineAsync($"Deleted {parsed.GetRequiredValue(name)}.");
            return ExitCode.Done;
        });
        return command;
    }

    private static Argument<string> Name()
    {
        var name = new Argument<string>("NAME") { Description = "1 to 128 of A-Z a-z 0-9 . _ -" };
        name.Validators.Add(result =>
        {
            foreach (var token in result.Tokens.Where(token => token.Value.Length == 0 || !TenantName.IsWellFormed(token.Value)))
                result.AddError($"NAME: '{token.Value}' is not a valid name. Use 1 to {TenantName.MostCharacters} of A-Z a-z 0-9 . _ -");
        });
        return name;
    }

    /// <param name="whole">Whether the command prints one set with its examples, or any number of sets in one line each.</param>
    private static Command CreateQuery(
        string name, string description, Argument[] arguments, Option[] options,
        Func<ParseResult, ISupportSets, string, CancellationToken, Task<IReadOnlyList<SupportSet>>> ask, bool whole = false)
    {
        var (server, tenant) = (ServerAddress.Create(required: true), TenantOption.Create());
        var json = new Option<bool>("--json")
        {
            Description = "Print one JSON object per set: name, version, created, expires, example_count, examples (picture_id, text; "
                + "empty in lists).",
        };
        var command = new Command(name, description);
        foreach (var argument in arguments) command.Add(argument);
        foreach (var option in new Option[] { server, KeyOption.Create(), tenant, json }.Concat(options)) command.Add(option);
        CertificateOptions.AddTo(command, server);
        command.SetAction(async (parsed, cancellation) =>
        {
            await using var opened = OpenedFlamingo.Connect(parsed, parsed.GetRequiredValue(server));
            var output = parsed.InvocationConfiguration.Output;
            var sets = await ask(parsed, opened.SupportSets, parsed.GetRequiredValue(tenant), cancellation);
            if (parsed.GetValue(json)) foreach (var set in sets) await output.WriteLineAsync(JsonSerializer.Serialize(set, Page.Json));
            else Page.Write(output, whole ? Examples(sets[0]) : Summaries(sets));
            return ExitCode.Done;
        });
        return command;
    }

    private static Spectre.Console.Table Summaries(IReadOnlyList<SupportSet> sets)
    {
        var table = Page.Table("name", "version", "examples", "created", "expires");
        foreach (var set in sets)
        {
            var expires = set.Expires is { } end ? $"{end:u}" : "never";
            Page.AddRow(table, set.Name, $"{set.Version}", $"{set.ExampleCount}", $"{set.Created:u}", expires);
        }

        return table;
    }

    private static Spectre.Console.Table Examples(SupportSet set)
    {
        var table = Page.Table("place", "picture", "text");
        foreach (var (place, example) in set.Examples.Index()) Page.AddRow(table, $"{place}", example.PictureId, example.Text);
        return table;
    }
}
