using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Execution;

namespace Flamingo.LanguageModel.Tests.Execution;

/// <summary>
/// The path that serves requests, compared with the golden values and with itself: a row's logits are bit for bit the same in every batch.
/// </summary>
public sealed class BatchedPathTests(Models models)
{
    public static TheoryData<string, string> AllPrompts => Golden.Names();

    [Theory]
    [MemberData(nameof(AllPrompts))]
    public async Task Logits_of_every_token_are_the_originals(string family, string name)
    {
        var (expected, shape) = Golden.Logits(family, name);
        var rows = await new JointRun(models, family).RunAsync([Golden.Sequence(family, name, room: 0)], chunk: int.MaxValue);
        Assert.Equal(shape[0], rows[0].Count);
        Assert.InRange(Golden.Error(expected, rows[0].SelectMany(row => row).ToArray()), 0, 1e-5);
    }

    public static TheoryData<string> Families => [.. Golden.Families, "grouped"];

    [Theory]
    [MemberData(nameof(Families))]
    public async Task Chunks_other_requests_and_blocks_change_no_bit(string family)
    {
        var reference = family == "grouped" ? "llama" : family;
        var prompts = Golden.Prompts(reference)
            .Select(prompt => Golden.Sequence(reference, prompt.GetProperty("name").GetString()!, room: 0))
            .ToList();
        var alone = new List<IReadOnlyList<float[]>>();
        foreach (var prompt in prompts) alone.Add((await new JointRun(models, family).RunAsync([prompt], int.MaxValue))[0]);
        foreach (var (chunk, shuffled) in new[] { (int.MaxValue, true), (16, false), (7, true), (3, false), (1, true) })
        {
            var together = await new JointRun(models, family) { Shuffled = shuffled }.RunAsync(prompts, chunk);
            foreach (var (expected, actual) in alone.Zip(together))
                foreach (var (row, (left, right)) in expected.Zip(actual).Index())
                    Assert.True(left.AsSpan().SequenceEqual(right), $"row {row} in chunks of {chunk}, {prompts.Count} together");
        }
    }
}
