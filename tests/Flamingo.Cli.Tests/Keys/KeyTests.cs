using System.CommandLine;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Flamingo.Cli.Tests.Running;

namespace Flamingo.Cli.Tests.Keys;

/// <summary>Keys are made, listed and revoked by commands, and other commands show them to a server.</summary>
public sealed class KeyTests
{
    [Fact]
    public async Task A_key_is_shown_once_and_the_file_holds_only_its_digest()
    {
        using var folder = new TemporaryFolder();
        var file = folder.File("keys.json");
        var made = (await FlamingoCommand.RunAsync(
            "key", "new", "--tenant", "berlin", "--role", "operator", "--expires", "90d", "--note", "for the demo", "--file", file))
            .MustReturn(0);
        var key = made.Output.TrimEnd('\n');
        Assert.Matches("^flm_[0-9a-f]{12}_[A-Za-z0-9_-]{43}$", key);
        var (id, secret) = (key.Split('_')[1], key[17..]);
        Assert.Contains(id, made.Error, StringComparison.Ordinal);
        Assert.DoesNotContain(secret, made.Error, StringComparison.Ordinal);

        var content = await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken);
        Assert.DoesNotContain(secret, content, StringComparison.Ordinal);
        using var json = JsonDocument.Parse(content);
        var entry = json.RootElement.GetProperty("keys").EnumerateArray().Single();
        Assert.Equal(
            ["id", "sha256", "tenant", "role", "created", "expires", "note"], entry.EnumerateObject().Select(member => member.Name));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes(secret))), entry.GetProperty("sha256").GetString());
        Assert.Equal(
            TimeSpan.FromDays(90), entry.GetProperty("expires").GetDateTimeOffset() - entry.GetProperty("created").GetDateTimeOffset());
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));

        await FlamingoCommand.RunAsync("key", "new", "--tenant", "", "--expires", "2999-12-31", "--file", file);
        var table = (await FlamingoCommand.RunAsync("key", "list", "--file", file)).MustReturn(0).Output;
        Assert.All(
            [id, "berlin", "operator", "holds", "for the demo", "(default)", "user", "2999-12-31 00:00:00Z"],
            text => Assert.Contains(text, table, StringComparison.Ordinal));
        Assert.DoesNotContain(entry.GetProperty("sha256").GetString()!, table, StringComparison.Ordinal);
        using var listed = JsonDocument.Parse(
            (await FlamingoCommand.RunAsync("key", "list", "--json", "--file", file)).MustReturn(0).Output.Split('\n')[0]);
        Assert.Equal(
            ["id", "tenant", "role", "created", "expires", "state", "note"],
            listed.RootElement.EnumerateObject().Select(member => member.Name));

        Assert.Equal($"Revoked {id}.\n", (await FlamingoCommand.RunAsync("key", "revoke", id, "--file", file)).MustReturn(0).Output);
        var again = (await FlamingoCommand.RunAsync("key", "revoke", id, "--file", file)).MustReturn(2);
        Assert.Contains("has no key of this id", Assert.Single(again.Error.Trim().Split('\n')), StringComparison.Ordinal);
        Assert.DoesNotContain(id, (await FlamingoCommand.RunAsync("key", "list", "--file", file)).Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, "--tenant", "new")]
    [InlineData(2, "--tenant: 'a b'", "new", "--tenant", "a b")]
    [InlineData(2, "user or operator", "new", "--tenant", "t", "--role", "admin")]
    [InlineData(2, "'90' is neither", "new", "--tenant", "t", "--expires", "90")]
    [InlineData(2, "'31.1.2999' is neither", "new", "--tenant", "t", "--expires", "31.1.2999")]
    [InlineData(2, "not in the future", "new", "--tenant", "t", "--expires", "2020-01-01")]
    [InlineData(2, "not in the future", "new", "--tenant", "t", "--expires", "0")]
    [InlineData(1, "does not exist", "list")]
    [InlineData(1, "does not exist", "revoke", "a")]
    public async Task Wrong_arguments_are_one_line_each_and_write_nothing(int exitCode, string said, params string[] arguments)
    {
        using var folder = new TemporaryFolder();
        var refused = (await FlamingoCommand.RunAsync(["key", .. arguments, "--file", folder.File("keys.json")])).MustReturn(exitCode);
        Assert.Contains(said, Assert.Single(refused.Error.Trim().Split('\n')), StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFiles(folder.Path));
    }

    [Fact]
    public async Task The_file_is_the_one_that_the_gateway_reads()
    {
        using var folder = new TemporaryFolder();
        string[] make = ["key", "new", "--tenant", "t"];
        var unnamed = (await FlamingoCommand.SpawnAsync(folder.Path, make)).MustReturn(2);
        Assert.Contains("Security__KeysFile", Assert.Single(unnamed.Error.Trim().Split('\n')), StringComparison.Ordinal);
        folder.Write("appsettings.json", """{"Security": {"KeysFile": "own.json"}}""");
        (await FlamingoCommand.SpawnAsync(folder.Path, make)).MustReturn(0);
        Assert.True(File.Exists(folder.File("own.json")));
        var other = folder.File("other.json");
        (await FlamingoCommand.SpawnAsync(folder.Path, "", new() { ["Security__KeysFile"] = other }, make)).MustReturn(0);
        Assert.True(File.Exists(other));
    }

    [Fact]
    public void Every_command_with_a_server_takes_a_key()
    {
        var commands = All(CommandLine.Root()).Where(command => command.Options.Any(option => option.Name == "--server")).ToList();
        Assert.True(commands.Count > 10);
        Assert.All(commands, command => Assert.Contains(command.Options, option => option.Name == "--key"));

        static IEnumerable<Command> All(Command command) => command.Subcommands.SelectMany(All).Prepend(command);
    }

    [Theory]
    [InlineData("flm_a b", "--key has a space")]
    [InlineData("", "--key is empty")]
    public async Task A_text_that_is_no_key_is_not_sent(string key, string said)
    {
        var refused = (await FlamingoCommand.RunAsync("cache", "stats", "--server", "http://localhost:1", "--key", key)).MustReturn(2);
        Assert.Contains(said, refused.Error, StringComparison.Ordinal);
        if (key.Length > 0) Assert.DoesNotContain(key, refused.Error, StringComparison.Ordinal);
        string[] ask = ["generate", "--prompt", Examples.Prompt("caption.json")];
        var alone = (await FlamingoCommand.RunAsync([.. ask, "--key", "flm_a"])).MustReturn(2);
        Assert.Contains("--key has no effect without --server", alone.Error, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_key_that_leaves_this_machine_without_TLS_is_warned_about()
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var error = new StringWriter();
        await stop.CancelAsync();
        await CommandLine.RunAsync(
            ["cache", "stats", "--server", "http://192.0.2.1:8080", "--key", "flm_abc_secret"], TextWriter.Null, error, stop.Token);
        Assert.Contains("192.0.2.1 without TLS", error.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("secret", error.ToString(), StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_server_with_keys_answers_those_who_show_one()
    {
        using var folder = new TemporaryFolder();
        var file = folder.File("keys.json");
        var (user, boss) = (await NewAsync("user"), await NewAsync("operator"));
        await using var serving = new RunningServer
        {
            Arguments = [$"--Security:KeysFile={file}", "--Limits:RequestsPerMinute=1000", "--Endpoints:Listen=loopback"],
        };
        await serving.InitializeAsync();
        string[] ask = ["generate", "--prompt", Examples.Prompt("caption.json"), "--server", serving.Address];
        var refused = (await FlamingoCommand.RunAsync(ask)).MustReturn(1);
        Assert.Contains("FLAMINGO_KEY", Assert.Single(refused.Error.Trim().Split('\n')), StringComparison.Ordinal);

        var golden = Examples.Golden("caption-query.png", 0).Text.Trim();
        Assert.Equal(golden, (await FlamingoCommand.RunAsync([.. ask, "--key", user])).MustReturn(0).Output.Trim());
        var byVariable = await FlamingoCommand.SpawnAsync(folder.Path, "", new() { ["FLAMINGO_KEY"] = user + "\n" }, ask);
        Assert.Equal(golden, byVariable.MustReturn(0).Output.Trim());

        var named = (await FlamingoCommand.RunAsync([.. ask, "--key", user, "--tenant", "berlin"])).MustReturn(1);
        Assert.Contains("flamingo-tenant", named.Error, StringComparison.Ordinal);
        string[] clear = ["cache", "clear", "--server", serving.Address, "--key"];
        var notAllowed = (await FlamingoCommand.RunAsync([.. clear, user])).MustReturn(1);
        Assert.Contains("--role operator", notAllowed.Error, StringComparison.Ordinal);
        (await FlamingoCommand.RunAsync([.. clear, boss])).MustReturn(0);

        (await FlamingoCommand.RunAsync("key", "revoke", user.Split('_')[1], "--file", file)).MustReturn(0);
        string[] stats = ["cache", "stats", "--server", serving.Address, "--key", user];
        // The server looks at the file once a second.
        while ((await FlamingoCommand.RunAsync(stats)).ExitCode == 0) TestContext.Current.CancellationToken.ThrowIfCancellationRequested();

        async Task<string> NewAsync(string role) => (await FlamingoCommand.RunAsync(
            "key", "new", "--tenant", "berlin", "--role", role, "--file", file)).MustReturn(0).Output.Trim();
    }

    [Fact]
    public async Task A_server_whose_keys_cannot_be_read_does_not_start()
    {
        using var folder = new TemporaryFolder();
        var file = folder.Write("keys.json", "{}");
        string[] serve = ["serve", "--grpc-port", $"{RunningServer.FreePort()}", $"--Security:KeysFile={file}"];
        var fault = Assert.Single((await FlamingoCommand.RunAsync(serve)).MustReturn(2).Error.Trim().Split('\n'));
        Assert.StartsWith($"flamingo: Security:KeysFile: {file} is not a keys file", fault, StringComparison.Ordinal);
    }
}
