using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Testing;

namespace Flamingo.Gateway.Doors.Tests;

/// <summary>npm's openai, unmodified, and Python's standard library, against a real server.</summary>
public sealed class OtherClientsTests
{
    private static string Folder { get; } = RepositoryFiles.Path("tests", "Flamingo.Gateway.Doors.Tests", "Clients");

    private static bool IsCi => Environment.GetEnvironmentVariable("CI") == "true";

    [Fact(Timeout = 60_000)]
    public async Task Npms_client_gets_everything()
    {
        var cancellation = TestContext.Current.CancellationToken;
        var npm = ProgramRun.Find("npm");
        if (npm is null && !IsCi) Assert.Skip("This test needs Node.js 20 or newer and npm.");
        Assert.True(npm is not null, "CI needs Node.js 20 or newer and npm.");
        var folder = Directory.CreateTempSubdirectory("flamingo-npm-");
        try
        {
            RepositoryFiles.Copy(Folder, folder.FullName);
            (await ProgramRun.RunAsync(
                npm, ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"], cancellation,
                folder.FullName)).MustReturn(0);
            await using var server = await DoorServer.StartAsync(cancellation);
            var node = ProgramRun.Find("node")!;
            Check(await ProgramRun.RunAsync(node, ["client.mjs", server.Address], cancellation, folder.FullName), server);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task Pythons_standard_library_gets_everything()
    {
        var cancellation = TestContext.Current.CancellationToken;
        var python = ProgramRun.Find("python3");
        if (python is null && !IsCi) Assert.Skip("This test needs Python 3.");
        Assert.True(python is not null, "CI needs Python 3.");
        await using var server = await DoorServer.StartAsync(cancellation);
        Check(await ProgramRun.RunAsync(python, ["client.py", server.Address], cancellation, Folder), server);
    }

    private static void Check(ProgramRun run, DoorServer server)
    {
        var result = JsonElement.Parse(run.MustReturn(0).Output);
        Assert.Equal("a dog", result.GetProperty("whole").GetString());
        Assert.Equal("stop", result.GetProperty("reason").GetString());
        Assert.Equal(5, result.GetProperty("cached").GetInt32());
        Assert.Equal("[10,11]", Compact("ids"));
        Assert.Equal("a dog", result.GetProperty("streamed").GetString());
        Assert.Equal(9, result.GetProperty("usage").GetInt32());
        Assert.Equal("[32,100,111,103]", Compact("bytes"));
        Assert.Equal(" a dog", result.GetProperty("completion").GetString());
        Assert.Equal([0, 0.5, -1], result.GetProperty("embedding").EnumerateArray().Select(value => value.GetDouble()));
        Assert.Equal("[\"scripted\"]", Compact("models"));
        Assert.Equal(PictureId.Of("dog"u8), result.GetProperty("file").GetString());
        Assert.Equal("[404,\"model_not_found\",\"model\"]", Compact("unknown"));
        Assert.Equal("[400,\"unsupported_parameter\",\"modalities\"]", Compact("unsupported"));
        var request = server.Flamingo.Requests.First();
        Assert.Equal("Question:what? Short answer:", ((FlamingoText)request.Segments[^1]).Text);

        string Compact(string name) => result.GetProperty(name).GetRawText().Replace(" ", "", StringComparison.Ordinal);
    }
}
