using Flamingo.Abstractions;
using Flamingo.Gateway.Security.Keys;
using Microsoft.Extensions.Options;

namespace Flamingo.Gateway.Security.Tests.Keys;

/// <summary>The file of keys: how it is written, what is refused, and when a running server reads it again.</summary>
public sealed class KeyFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("flamingo-keys-").FullName;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private string File => Path.Combine(_folder, "keys.json");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_key_reads_back_and_hides_its_secret()
    {
        var keys = Enumerable.Range(0, 1000).Select(_ => AccessKey.New()).ToList();
        Assert.Distinct(keys.Select(key => key.Id));
        Assert.All(keys, key =>
        {
            Assert.Matches("^flm_[0-9a-f]{12}_[A-Za-z0-9_-]{43}$", key.Reveal());
            var read = AccessKey.Parse(key.Reveal())!;
            Assert.Equal((key.Id, Convert.ToHexString(key.Digest())), (read.Id, Convert.ToHexString(read.Digest())));
            Assert.Equal($"flm_{key.Id}_…", $"{key}");
        });
    }

    [Fact]
    public void A_new_file_is_its_owners_and_an_existing_one_keeps_its_mode_and_its_link()
    {
        var file = new KeyFile(File);
        file.Change(entries => entries.Add(Entry("a")));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, System.IO.File.GetUnixFileMode(File));

        var mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead;
        System.IO.File.SetUnixFileMode(File, mode);
        var link = Path.Combine(_folder, "link.json");
        System.IO.File.CreateSymbolicLink(link, File);
        new KeyFile(link).Change(entries => entries.Add(Entry("b")));
        Assert.Equal(File, System.IO.File.ResolveLinkTarget(link, returnFinalTarget: false)!.FullName);
        Assert.Equal(mode, System.IO.File.GetUnixFileMode(File));
        Assert.Equal(["a", "b"], file.Read().Select(entry => entry.Id));
        Assert.Equal(["keys.json", "keys.json.lock", "link.json"], Directory.EnumerateFiles(_folder).Select(Path.GetFileName).Order());
    }

    [Fact(Timeout = 60_000)]
    public async Task Changes_at_the_same_time_lose_nothing()
    {
        var refused = 0;
        await Parallel.ForEachAsync(Enumerable.Range(0, 40), new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (number, _) =>
        {
            while (true)
            {
                try
                {
                    new KeyFile(File).Change(entries => entries.Add(Entry($"k{number}")));
                    return;
                }
                catch (IOException exception) when (exception.Message.Contains("another process", StringComparison.Ordinal))
                {
                    Interlocked.Increment(ref refused);
                    await Task.Yield();
                }
            }
        });
        Assert.Equal(
            Enumerable.Range(0, 40).Select(number => $"k{number}").Order(), new KeyFile(File).Read().Select(entry => entry.Id).Order());
    }

    [Fact]
    public void A_failed_change_leaves_the_file()
    {
        var file = new KeyFile(File);
        file.Change(entries => entries.Add(Entry("a")));
        Assert.Throws<InvalidOperationException>(() => file.Change(_ => throw new InvalidOperationException()));
        Assert.Equal("a", file.Read().Single().Id);
        Assert.Throws<IOException>(() => new KeyFile(Path.Combine(_folder, "none", "keys.json")).Change(_ => { }));
    }

    [Theory]
    [InlineData("", "not a keys file")]
    [InlineData("null", "not a keys file")]
    [InlineData("[]", "not a keys file")]
    [InlineData("{}", "keys")]
    [InlineData("""{"keys": null}""", "not a keys file")]
    [InlineData("""{"keys": [null]}""", "keys[0]")]
    [InlineData("""{"keys": [{"id": "a", "sha256": "HASH"}]}""", "tenant")]
    [InlineData("""{"keys": [{"id": "a", "sha256": "HASH", "tenant": "t", "roel": "user"}]}""", "roel")]
    [InlineData("""{"keys": [{"id": "a_b", "sha256": "HASH", "tenant": "t"}]}""", "keys[0] id")]
    [InlineData(
        """{"keys": [{"id": "a", "sha256": "HASH", "tenant": "t"}, {"id": "a", "sha256": "HASH", "tenant": "u"}]}""", "keys[1] id 'a'")]
    [InlineData("""{"keys": [{"id": "a", "sha256": "flm_a_b", "tenant": "t"}]}""", "keys[0] sha256")]
    [InlineData("""{"keys": [{"id": "a", "sha256": "HASH", "tenant": "a b"}]}""", "keys[0] tenant")]
    [InlineData("""{"keys": [{"id": "a", "sha256": "HASH", "tenant": "t", "role": "admin"}]}""", "keys[0] role")]
    [InlineData("""{"keys": [{"id": "a", "sha256": "HASH", "tenant": "t", "expires": "soon"}]}""", "expires")]
    [InlineData("""{"keys": [{"id": "a", "sha256": "HASH", "tenant": "t", "tenant": "u"}]}""", "tenant")]
    public void A_wrong_file_is_refused_with_its_place(string content, string place)
    {
        System.IO.File.WriteAllText(File, content.Replace("HASH", new string('0', 64), StringComparison.Ordinal));
        var refused = Assert.Throws<IOException>(() => new KeyFile(File).Read());
        Assert.StartsWith(File, refused.Message, StringComparison.Ordinal);
        Assert.Contains(place, refused.Message, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_server_without_its_file_does_not_start()
    {
        var refused = await Assert.ThrowsAsync<OptionsValidationException>(
            () => SecuredServer.StartAsync(hasKeys: false, options: ("Security:KeysFile", File)));
        Assert.Contains($"Security:KeysFile: {File} does not exist", refused.Failures.Single(), StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_running_server_follows_the_file_and_keeps_the_last_good_one()
    {
        await using var server = await SecuredServer.StartAsync();
        var (first, second) = (server.NewKey("berlin"), server.NewKey("paris"));
        Assert.True(await IsKnownAsync(first) && await IsKnownAsync(second));

        // Within a second of a look, the file is not looked at again.
        server.Keys.Change(entries => entries.RemoveAt(0));
        Assert.True(await IsKnownAsync(first));
        server.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.False(await IsKnownAsync(first));
        Assert.True(await IsKnownAsync(second));

        // Half of a file, as an editor may leave it, and then none.
        var whole = await System.IO.File.ReadAllTextAsync(server.Keys.Path, Cancellation);
        await System.IO.File.WriteAllTextAsync(server.Keys.Path, whole[..(whole.Length / 2)], Cancellation);
        await LookedTwiceAsync();
        System.IO.File.Delete(server.Keys.Path);
        await LookedTwiceAsync();
        var warnings = server.Logs.Where(line => line.StartsWith("6302 Warning", StringComparison.Ordinal)).ToList();
        Assert.Equal(2, warnings.Count);
        Assert.Contains("is not a keys file", warnings[0], StringComparison.Ordinal);
        Assert.Contains("does not exist", warnings[1], StringComparison.Ordinal);

        await System.IO.File.WriteAllTextAsync(server.Keys.Path, """{"keys": []}""", Cancellation);
        server.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.False(await IsKnownAsync(second));

        async Task LookedTwiceAsync()
        {
            for (var look = 0; look < 2; look++)
            {
                server.Time.Advance(TimeSpan.FromSeconds(1));
                Assert.True(await IsKnownAsync(second));
            }
        }

        async Task<bool> IsKnownAsync(string key) => (await server.GetAsync("/v1/models", key)).IsSuccessStatusCode;
    }

    [Fact(Timeout = 60_000)]
    public async Task A_new_key_is_known_to_all_calls_that_come_at_once()
    {
        await using var server = await SecuredServer.StartAsync();
        for (var round = 0; round < 20; round++)
        {
            var key = server.NewKey("berlin");
            using var start = new Barrier(4);
            var calls = Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
            {
                start.SignalAndWait(Cancellation);
                return (await server.GetAsync("/v1/models", key)).IsSuccessStatusCode;
            }));
            Assert.DoesNotContain(false, await Task.WhenAll(calls));
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task A_key_holds_until_it_expires()
    {
        await using var server = await SecuredServer.StartAsync();
        var key = server.NewKey("berlin", expires: server.Time.GetUtcNow() + TimeSpan.FromHours(1));
        await server.Client(key).GetModelAsync(Cancellation);
        server.Time.Advance(TimeSpan.FromHours(1));
        var refused = await Assert.ThrowsAsync<FlamingoException>(() => server.Client(key).GetModelAsync(Cancellation));
        Assert.Equal(FlamingoErrorKind.Unauthenticated, refused.Kind);
        Assert.Contains("expired at 2030-01-01 01:00:00Z", refused.Message, StringComparison.Ordinal);
    }

    private static KeyEntry Entry(string id) => new() { Id = id, Sha256 = new string('0', 64), Tenant = "t" };
}
