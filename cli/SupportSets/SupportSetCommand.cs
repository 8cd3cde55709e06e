using System.CommandLine;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;

namespace Flamingo.Cli.SupportSets;

/// <summary><c>flamingo support-set</c>: named lists of examples on a running server.</summary>
public static class SupportSetCommand
{
    public static Command Create() =>
        new("support-set", "Named lists of examples on a running server; 'generate' and 'rank' draw from them with --support-set.")
        {
            Put(), Get(), List(), Delete(),
        };

    private static Command Put()
    {
        var examples = new Argument<string>("FILE")
        {
            Description = "Lines {\"picture\": \"path beside the file\", \"text\": \"Output:A dog.\"}; "
                + "instead of 'picture' also 'video' (an animated GIF or WebP) or 'frames' (a list of paths), "
                + "with 'max_frames'. '-' is standard input.",
        };
        var life = NumberOption.Create<double>(
            "--ttl", "SECONDS", "Delete the set after so long, at most ten years. Default: never.", 0, 315_360_000, moreThan: true);
        var version = NumberOption.Create<long>(
            "--expected-version", "N",
            "Refuse unless the set has this version; 0 for 'not there yet'. Default: replace whatever is there.", least: 0);
        return Asking("put", "Create a set of a file's examples, or replace it under the next version.",
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

    private static Command Get() => Asking(
        "get", "Tell what a set holds: per example the picture's id and the text.", [Name()], [],
        async (parsed, sets, tenant, cancellation) => [await sets.GetAsync(tenant, parsed.GetRequiredValue<string>("NAME"), cancellation)],
        whole: true);

    private static Command List() => Asking(
        "list", "Tell all sets of the tenant, by name.", [], [], (_, sets, tenant, cancellation) => sets.ListAsync(tenant, cancellation));

    private static Command Delete()
    {
        var (name, server, tenant) = (Name(), ServerAddress.Create(required: true), TenantOption.Create());
        var command = new Command("delete", "Delete a set.") { name, server, tenant };
        command.SetAction(async (parsed, cancellation) =>
        {
            await using var opened = OpenedFlamingo.Connect(parsed.GetRequiredValue(server));
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
                result.AddError($"NAME: '{token.Value}' is no name of a set. Use 1 to {TenantName.MostCharacters} of A-Z a-z 0-9 . _ -");
        });
        return name;
    }

    /// <param name="whole">Whether one set is told with its examples, or any number of them in a line each.</param>
    private static Command Asking(
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
        foreach (var option in new Option[] { server, tenant, json }.Concat(options)) command.Add(option);
        command.SetAction(async (parsed, cancellation) =>
        {
            await using var opened = OpenedFlamingo.Connect(parsed.GetRequiredValue(server));
            var output = parsed.InvocationConfiguration.Output;
            var sets = await ask(parsed, opened.SupportSets, parsed.GetRequiredValue(tenant), cancellation);
            if (parsed.GetValue(json)) foreach (var set in sets) await output.WriteLineAsync(JsonSerializer.Serialize(set, Page.Json));
            else Page.Write(output, whole ? Examples(sets[0]) : Heads(sets));
            return ExitCode.Done;
        });
        return command;
    }

    private static Spectre.Console.Table Heads(IReadOnlyList<SupportSet> sets)
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
