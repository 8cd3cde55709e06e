using System.Text.Json;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Testing;
using Flamingo.Training.Data;
using Flamingo.Training.Network;

namespace Flamingo.Training.Tests.Data;

/// <summary>Ids and labels of sequences, against OpenFlamingo's own and against rules written out.</summary>
public sealed class SequenceTests(Models models)
{
    private const int Padding = 534, Ignored = TrainingBatch.Ignored;

    private static readonly DataOptions InOrder = new() { ShuffleBuffer = 0, FlipProbability = 0, SingleKept = 1 };

    private static readonly JsonElement Golden =
        JsonDocument.Parse(File.ReadAllBytes(RepositoryFiles.Path("tests", "reference", "training", "golden.json"))).RootElement;

    [Fact]
    public void Pairs_are_those_of_the_golden()
    {
        var captions = Golden.GetProperty("captions").EnumerateArray().Select(one => one.GetString()!.Split('>')[1].Split('<')[0]).ToList();
        var shard = Shard.Write(models.NewFolder(), "0.tar",
            captions.Index().SelectMany(one => Shard.Pair($"{one.Index:D4}", one.Item + "\n", one.Index)));
        var pairs = new Stream(models, shard, InOrder, "mpt7b").Take(3);
        Assert.Equal(Rows("caption_ids"), pairs.Select(one => Padded(one.Ids, Padding, 7)));
        Assert.Equal(Rows("caption_labels"), pairs.Select(one => Padded(one.Labels, Ignored, 7)));
        Assert.All(pairs.Index(), one => Assert.Equal(Shard.Picture(one.Index), one.Item.Pictures.Single().Bytes.ToArray()));
    }

    [Fact]
    public void Interleaved_texts_are_those_of_the_golden()
    {
        var text = new LabeledText(models.TokenizerOf("mpt7b"), models.DirectoryOf("mpt7b").Config.Tokens);
        foreach (var (index, interleaved) in Golden.GetProperty("interleaved").EnumerateArray().Index())
        {
            var texts = interleaved.GetString()!.Replace("<|endoftext|>", "", StringComparison.Ordinal).Split("<image>");
            SequencePart[] parts = [new(texts[0]), .. texts[1..].SelectMany(part => new[] { SequencePart.Picture, new(part) })];
            var (ids, labels) = text.Read(parts, LabelRule.Chunks, ends: true, 48);
            Assert.Equal(Rows("interleaved_ids")[index], Padded(ids, Padding, 48));
            Assert.Equal(Rows("interleaved_labels")[index], Padded(labels, Ignored, 48));
        }
    }

    [Fact]
    public void A_document_of_MMC4_becomes_the_golden_text()
    {
        // The pictures are not in the order of their sentences, and two must be left out.
        var shard = Shard.Write(models.NewFolder(), "0.tar", Shard.Document("0", ["one", "two small hexagons", " three"],
            (7, 2, 0.3), (8, 1, 0.24), (9, 1, 0.2399), (6, 0, 0.9)));
        var document = new Stream(models, shard, InOrder, "mpt7b").Take(1).Single();
        Assert.Equal(Rows("interleaved_ids")[1], Padded(document.Ids, Padding, 48));
        Assert.Equal(Rows("interleaved_labels")[1], Padded(document.Labels, Ignored, 48));
        Assert.Equal([Shard.Picture(6), Shard.Picture(8), Shard.Picture(7)], document.Pictures.Select(one => one.Bytes.ToArray()));
    }

    [Fact]
    public void A_document_has_no_blanks_beside_markers_and_its_first_end_of_chunk_is_dropped()
    {
        var shard = Shard.Write(models.NewFolder(), "0.tar",
            Shard.Document("0", ["Look here.", "a red ring", "and more", "a star"], (1, 1, 0.5), (2, 3, 0.5), (3, 3, 0.5)));
        var document = new Stream(models, shard, InOrder).Take(1).Single();
        Assert.Equal("Look here.<image>a red ring and more<|endofchunk|><image><|endofchunk|><image>a star<|endofchunk|><|endoftext|>",
            Decoded(document.Ids));
        Assert.Equal("a red ring and more<|endofchunk|><|endofchunk|>a star<|endofchunk|>", Counted(document));
    }

    [Fact]
    public void Limits_cut_tokens_off_and_the_pictures_behind_them()
    {
        var options = InOrder with { MaxDocumentTokens = 6, MaxPairTokens = 3 };
        var folder = models.NewFolder();
        var document = new Stream(models, Shard.Write(folder, "0.tar",
            Shard.Document("0", ["red", "blue", "green"], (1, 0, 0.5), (2, 1, 0.5), (3, 2, 0.5))), options).Take(1).Single();
        Assert.Equal((6, 2), (document.Ids.Length, document.Pictures.Count));
        Assert.Equal(2, document.Ids.Count(id => id == 510));
        var pair = new Stream(models, Shard.Write(folder, "1.tar", Shard.Pair("0", "a large red circle")), options).Take(1).Single();
        Assert.Equal("<image>a large", Decoded(pair.Ids));
    }

    [Fact]
    public void Documents_keep_at_most_the_first_pictures_and_at_least_some()
    {
        var folder = models.NewFolder();
        var path = Shard.Write(folder, "0.tar",
            Shard.Document("many", ["a", "b", "c"], (1, 2, 0.5), (2, 1, 0.5), (3, 0, 0.5)),
            Shard.Document("one", ["a"], (4, 0, 0.5)),
            Shard.Document("unlike", ["a"], (5, 0, 0.1)));
        var stream = new Stream(models, path, InOrder with { MaxPictures = 2, MinPictures = 2 });
        var document = stream.Take(2)[1]; // the second epoch gives the same document again
        Assert.Equal([Shard.Picture(2), Shard.Picture(1)], document.Pictures.Select(one => one.Bytes.ToArray()));
        Assert.Equal(0, stream.Report.BrokenTotal);
        Assert.Equal(["pictures too small or unlike their text", "too few pictures"], stream.Report.LeftOut.Keys);
        Assert.Equal(3, stream.Report.Read);
    }

    [Fact]
    public void Single_pictures_are_kept_in_half_of_the_epochs()
    {
        var path = Shard.Write(models.NewFolder(), "0.tar",
            Enumerable.Range(0, 400).Select(index => Shard.Document($"{index}", ["a ring"], (1, 0, 0.5))));
        var stream = new Stream(models, path, InOrder with { SingleKept = 0.5 });
        // The first sequence of the second epoch shows how many the first had.
        var origins = stream.Take(300).Select(one => int.Parse(one.Origin.Split(' ')[^1])).ToList();
        Assert.InRange(origins.Index().First(one => one.Index > 0 && one.Item < origins[one.Index - 1]).Index, 160, 240);
    }

    [Fact]
    public void Examples_count_after_pictures_unless_they_say_otherwise()
    {
        var example = Example("shapes", """
            {"segments": [{"text": "Look. "}, {"picture": "a.png", "description": "a red ring"}, {"text": "Output: ", "loss": false},
            {"text": "red<|endofchunk|>"}, {"picture": "b.png"}, {"text": "Question:color? Short answer:", "loss": false},
            {"text": "blue"}]}
            """);
        Assert.Equal("Look. <image>Output: red<|endofchunk|><image>Question:color? Short answer:blue", Decoded(example.Ids));
        // The blank at the end of the question is joined with the answer, so it counts with it.
        Assert.Equal(" red<|endofchunk|>blue", Counted(example));
        Assert.Equal(["a red ring", null], example.Descriptions);
        Assert.Equal([[1], [2]], example.Pictures.Select(one => one.Bytes.ToArray()));
        Assert.All(example.Pictures, picture => Assert.False(picture.Flipped));
    }

    [Fact]
    public void Examples_count_whole_characters_and_joined_words()
    {
        var example = Example("shapes", """
            {"segments": [{"picture": "a.png"}, {"text": "日本", "loss": false}, {"text": "語é<|endofchunk|>"}, {"text": "日", "loss": false}]}
            """);
        Assert.Equal("語é<|endofchunk|>", Counted(example));
    }

    [Theory]
    [InlineData("idefics")]
    [InlineData("llama")]
    public void Other_families_have_the_ids_of_their_prompts_and_no_marker_counts(string family)
    {
        var tokens = models.DirectoryOf(family).Config.Tokens;
        var example = Example(family, """
            {"segments": [{"text": "Look "}, {"picture": "a.png"}, {"picture": "b.png"}, {"text": "a ring", "loss": false},
            {"text": "red"}, {"picture": "a.png"}, {"text": "blue"}]}
            """);
        var (image, around) = ("<image>", tokens.AroundImage?.Text);
        var text = $"Look {around}{image}{around}{image}{around}a ringred{around}{image}{around}blue";
        Assert.Equal([tokens.Beginning!.Id, .. models.TokenizerOf(family).Encode(text)], example.Ids);
        Assert.Equal("redblue", Counted(example, family).Replace(" ", "", StringComparison.Ordinal));
        var shard = Shard.Write(models.NewFolder(), "0.tar",
            [.. Shard.Pair("0", "a ring"), Shard.Document("1", ["Look", "red"], (1, 1, 0.5))]);
        var (end, eos) = (tokens.EndOfChunk.Text, tokens.EndOfChunk.Text == "</s>" ? "" : "</s>");
        var both = new Stream(models, shard, InOrder, family).Take(2);
        Assert.Equal([tokens.Beginning.Id, .. models.TokenizerOf(family).Encode($"{around}{image}{around}a ring{end}{eos}")], both[0].Ids);
        Assert.Equal(["a", "ring", end + eos], Counted(both[0], family).Replace(end, " " + end, StringComparison.Ordinal)
            .Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal([tokens.Beginning.Id, .. models.TokenizerOf(family).Encode($"Look{around}{image}{around}red{end}{eos}")], both[1].Ids);
        Assert.Equal("red" + end, Counted(both[1], family).Trim());
    }

    [Fact]
    public void Tars_are_flipped_by_the_seed_and_examples_are_not()
    {
        var path = Shard.Write(models.NewFolder(), "0.tar",
            Enumerable.Range(0, 200).SelectMany(one => Shard.Pair($"{one}", "a ring", one)));
        List<bool> Flips(ulong seed) => [.. new Stream(models, path, new() { ShuffleBuffer = 0 }, seed: seed).Take(400)
            .Select(one => one.Pictures.Single().Flipped)];
        var flips = Flips(1);
        Assert.InRange(flips.Count(flipped => flipped), 160, 240);
        Assert.Equal(flips, Flips(1));
        Assert.NotEqual(flips, Flips(2));
        Assert.NotEqual(flips.Take(200), flips.Skip(200)); // another epoch
    }

    private static List<int[]> Rows(string name) =>
        [.. Golden.GetProperty(name).EnumerateArray().Select(row => row.EnumerateArray().Select(id => id.GetInt32()).ToArray())];

    private static int[] Padded(int[] row, int value, int length) => [.. row, .. Enumerable.Repeat(value, length - row.Length)];

    private TrainingSequence Example(string family, string line)
    {
        var folder = models.NewFolder();
        File.WriteAllBytes(Path.Combine(folder, "a.png"), [1]);
        File.WriteAllBytes(Path.Combine(folder, "b.png"), [2]);
        var path = Shard.Lines(folder, "a.jsonl", line.ReplaceLineEndings(" "));
        return new Stream(models, path, InOrder, family).Take(1).Single();
    }

    private string Decoded(int[] ids) => models.TokenizerOf("shapes").Decode(ids, skipSpecial: false);

    // Text of the tokens that count; each label must be its token.
    private string Counted(TrainingSequence sequence, string family = "shapes")
    {
        Assert.Equal(sequence.Ids.Length, sequence.Labels.Length);
        var counted = sequence.Ids.Zip(sequence.Labels).Where(one => one.Second != Ignored).ToList();
        Assert.All(counted, one => Assert.Equal(one.First, one.Second));
        return models.TokenizerOf(family).Decode([.. counted.Select(one => one.First)], skipSpecial: false);
    }
}
