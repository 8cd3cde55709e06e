using Flamingo.Import.Sources;
using Flamingo.LanguageModel.Execution;

namespace Flamingo.LanguageModel.Tests.Network;

/// <summary>Settings that no reference model has, compared with other settings that are mathematically equal.</summary>
public sealed class DecoderVariantTests(Models models)
{
    [Fact]
    public async Task Grouped_heads_are_heads_that_share_keys_and_values()
    {
        var grouped = models.DirectoryOf("grouped");
        // After the 64 rows of the queries come two heads of 16 rows each for keys and then for values; each head is repeated.
        var whole = models.Variant("ungrouped", "grouped", config => config with { KeyValueHeads = null }, (name, tensor) => name.EndsWith(
            "query_key_value.weight", StringComparison.Ordinal)
            ? tensor with { Shape = [192, 64], Read = () => Twice(tensor.Read()) }
            : tensor);
        var prompt = Golden.Sequence("llama", "three-shot", room: 0);
        await using var one = models.NewStage(grouped, new LanguageModelOptions());
        await using var other = models.NewStage(whole, new LanguageModelOptions());
        var (logits, expected) = (
            await one.Runner.LogitsAsync(prompt, TestContext.Current.CancellationToken),
            await other.Runner.LogitsAsync(prompt, TestContext.Current.CancellationToken));
        Assert.InRange(Golden.Error(expected.ToFloats(), logits.ToFloats()), 0, 1e-5);
        Assert.Equal(one.Runner.Memory.Blocks, 2 * other.Runner.Memory.Blocks); // half the memory per token
    }

    [Fact]
    public async Task Vector_gates_of_one_value_are_a_scalar_gate()
    {
        var vector = models.Variant("vector-gates", "idefics", config => config with
        {
            CrossAttention = config.CrossAttention with { VectorGates = true }
        }, (name, tensor) => name.EndsWith("_gate", StringComparison.Ordinal)
            ? tensor with { Shape = [64], Read = () => [.. Enumerable.Repeat(tensor.Read(), 64).SelectMany(bytes => bytes)] }
            : tensor);
        var prompt = Golden.Sequence("idefics", "three-shot", room: 0);
        await using var stage = models.NewStage(vector, new LanguageModelOptions());
        var expected = await models.Stage("idefics").Runner.LogitsAsync(prompt, TestContext.Current.CancellationToken);
        Assert.Equal(expected.ToFloats(), (await stage.Runner.LogitsAsync(prompt, TestContext.Current.CancellationToken)).ToFloats());
    }

    private static byte[] Twice(byte[] rows)
    {
        const int Head = 16 * 64 * sizeof(float);
        return [
            .. rows.AsSpan(0, 4 * Head), .. Enumerable.Range(4, 4)
                .SelectMany(head => Enumerable.Repeat(rows.AsSpan(head * Head, Head).ToArray(), 2).SelectMany(bytes => bytes))
        ];
    }
}
