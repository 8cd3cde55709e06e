using System.Text;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Doors.Tests;

/// <summary>Runs alone, because the memory that is counted is that of the whole process.</summary>
[CollectionDefinition(nameof(DataUrlMemoryTests), DisableParallelization = true), Collection(nameof(DataUrlMemoryTests))]
public sealed class DataUrlMemoryTests
{
    /// <summary>The body is kept once, and the file once: a second copy of the text would take 13 MB more.</summary>
    [Fact(Timeout = 60_000)]
    public async Task A_data_url_of_ten_megabytes_is_decoded_without_a_second_copy_of_its_text()
    {
        await using var server = await DoorServer.StartAsync(TestContext.Current.CancellationToken);
        var file = new byte[10_000_000];
        new Random(1).NextBytes(file);
        var body = """{"messages":[{"role":"user","content":[{"type":"image_url","image_url":"data:image/png;base64,FILE"}]}]}"""
            .Replace("FILE", Convert.ToBase64String(file), StringComparison.Ordinal);
        await server.AskAsync("/v1/chat/completions", """{"messages":[{"role":"user","content":"hi"}]}""");
        var bytes = Encoding.UTF8.GetBytes(body);
        using var content = new ByteArrayContent(bytes);
        content.Headers.ContentType = new("application/json");
        var before = GC.GetTotalAllocatedBytes(precise: true);
        using var answer = await server.Client.PostAsync(
            new Uri("/v1/chat/completions", UriKind.Relative), content, TestContext.Current.CancellationToken);
        var taken = GC.GetTotalAllocatedBytes(precise: true) - before;
        Assert.Equal(200, (int)answer.StatusCode);
        Assert.Equal(file, ((FlamingoPicture)server.Flamingo.Asked.Segments.OfType<FlamingoVisual>().Single()).Bytes.ToArray());
        Assert.InRange(taken, bytes.Length + file.Length, bytes.Length + file.Length + (6 << 20));
    }
}
