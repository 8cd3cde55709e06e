using CsCheck;
using Flamingo.LanguageModel.Engine.KvCache;
using Flamingo.LanguageModel.Engine.Tests.Scripted;

namespace Flamingo.LanguageModel.Engine.Tests.KvCache;

public sealed class BlockHashTests
{
    private static readonly Gen<string> Text = Gen.Char["abci012"].Array[1, 24].Select(letters => new string(letters));

    [Fact]
    public void Equal_beginnings_have_equal_names_and_others_have_others() =>
        Gen.Select(Text, Text, Gen.Int[1, 4]).Sample((one, other, blockTokens) =>
    {
        var (left, right) = (Chain(one, "", blockTokens), Chain(other, "", blockTokens));
        Assert.Equal(one.Length / blockTokens, left.Count);
        for (var block = 0; block < Math.Min(left.Count, right.Count); block++)
            Assert.Equal(one[..((block + 1) * blockTokens)] == other[..((block + 1) * blockTokens)], left[block] == right[block]);
    }, iter: 20_000);

    [Fact]
    public void Any_change_changes_all_names_from_there_on() =>
        Gen.Select(Text, Gen.Int[0, 1000], Gen.Char["abci012"]).Sample((text, place, letter) =>
    {
        place %= text.Length;
        var changed = text[..place] + letter + text[(place + 1)..];
        var differ = Chain(text, "", 2).Zip(Chain(changed, "", 2), (one, other) => one != other).ToList();
        for (var block = 0; block < differ.Count; block++) Assert.Equal(text[place] != letter && block >= place / 2, differ[block]);
    }, iter: 20_000);

    [Fact]
    public void Tenants_share_no_name() => Text.Where(text => text.Length > 1).Sample(text =>
        !Chain(text, "one", 2).Intersect(Chain(text, "another", 2)).Any() && !Chain(text, "", 2).Intersect(Chain(text, "one", 2)).Any());

    [Fact]
    public void The_names_of_an_answer_are_those_of_a_prompt_that_holds_it_and_sees_the_same() =>
        Gen.Select(Text, Gen.Char["abci"].Array[0, 12]).Sample((text, answer) =>
    {
        // The last tokens follow the prompt, where they attend to the picture of its last token.
        var (prompt, whole) = (Prompts.Of(text), Prompts.Of(text + new string(answer)));
        var chain = BlockHash.Chain(prompt, "", 3);
        while ((chain.Count + 1) * 3 <= whole.Ids.Count)
        {
            var begin = chain.Count * 3;
            chain.Add((chain.Count == 0 ? BlockHash.Root("") : chain[^1]).Next(prompt, [.. whole.Ids.Skip(begin).Take(3)], begin));
        }

        foreach (var (block, (asked, answered)) in BlockHash.Chain(whole, "", 3).Zip(chain).Index())
            Assert.Equal(Enumerable.Range(0, (block + 1) * 3).All(position => whole.PictureAt(position) == prompt.PictureAt(position)),
                asked == answered);
    }, iter: 20_000);

    [Fact]
    public void Text_that_sees_no_picture_any_more_has_another_name_than_an_answer_that_does()
    {
        var (prompt, whole) = (Prompts.Of("0i"), Prompts.Of("0iab"));
        Assert.Equal([0, 0, -1, -1], whole.Pictures);
        Assert.NotEqual(BlockHash.Chain(whole, "", 4)[0], BlockHash.Root("").Next(prompt, [.. whole.Ids], 0));
    }

    [Fact]
    public void A_picture_is_not_mistaken_for_the_ids_that_spell_its_key()
    {
        var spelled = new SequencePrompt([1, BitConverter.ToInt32("abcd"u8)], [-1, -1], [], Prompts.Of("a").Latents, 8);
        var seen = new SequencePrompt([1], [0], ["abcd"], Prompts.Of("a").Latents, 8);
        Assert.NotEqual(BlockHash.Root("").Next(spelled, [.. spelled.Ids], 0), BlockHash.Root("").Next(seen, [.. seen.Ids], 0));
    }

    // The name of a picture holds the checksum of its latents since a key alone is not trusted any more.
    [Fact]
    public void Two_values_of_one_key_have_other_names_from_the_picture_on()
    {
        var chains = new byte[][] { [1], [2], [] }.Select(checksum =>
        {
            var prompt = new SequencePrompt([1, 2, 9, 3], [-1, -1, 0, 0], [PictureName.Of("key", checksum)], Prompts.Of("a").Latents, 8);
            return BlockHash.Chain(prompt, "", 2);
        }).ToList();
        Assert.Single(chains.Select(chain => chain[0]).Distinct());
        Assert.Equal(3, chains.Select(chain => chain[1]).Distinct().Count());
        Assert.Equal("key", PictureName.KeyOf(PictureName.Of("key", [1, 2])));
    }

    private static List<BlockHash> Chain(string text, string tenant, int blockTokens) =>
        BlockHash.Chain(Prompts.Of(text), tenant, blockTokens);
}
