using System.Formats.Tar;
using System.Text;
using Flamingo.Checkpoints;
using Flamingo.Training.Data;

namespace Flamingo.Training.Tests.Data;

/// <summary>What is wrong with samples is counted, named and passed over, up to a bound.</summary>
public sealed class BrokenSampleTests(Models models)
{
    private static readonly DataOptions Tolerant = new() { ShuffleBuffer = 0, MostBroken = 1, SingleKept = 1 };

    [Theory]
    [InlineData("0.txt", "a ring", BrokenKind.MissingPartner, "no picture beside it")]
    [InlineData("0.png", "bytes", BrokenKind.MissingPartner, "no .txt and no .json")]
    [InlineData("0.json", "{\"caption\": \"a ring\"}", BrokenKind.MissingPartner, "no text_list")]
    [InlineData("0.json", "{\"text_list\": [\"a\"]", BrokenKind.BadJson, "line 1")]
    [InlineData("0.json", "{\"text_list\": \"a\", \"image_info\": []}", BrokenKind.BadJson, "no list of texts")]
    [InlineData("0.json", "{\"text_list\": [\"a\"]}", BrokenKind.NoPictures, "no list image_info")]
    [InlineData("0.json", "{\"text_list\": [\"a\"], \"image_info\": []}", BrokenKind.NoPictures, "no entry of image_info")]
    [InlineData("0.json", "{\"text_list\": [\"a\"], \"image_info\": [{\"image_name\": \"x\"}]}", BrokenKind.NoPictures, "image_base64")]
    [InlineData("0.json", """{"text_list": ["a"], "image_info": [{"image_base64": "AA=A", "matched_sim": 1, "matched_text_index": 0}]}""",
        BrokenKind.BadBase64, "image_info[0].image_base64")]
    [InlineData("0.json", """{"text_list": ["a"], "image_info": [{"image_base64": "", "matched_sim": 1, "matched_text_index": 0}]}""",
        BrokenKind.NoPictureFile, "image_info[0] has no bytes")]
    [InlineData("0.json", """{"text_list": ["a"], "image_info": [{"image_base64": "AAAA", "matched_sim": 1, "matched_text_index": 1}]}""",
        BrokenKind.BadJson, "matched_text_index from 0 to 0")]
    [InlineData("0.json", """{"text_list": ["a"], "image_info": [{"image_base64": "AAAA", "matched_text_index": 0}]}""",
        BrokenKind.BadJson, "no number matched_sim")]
    [InlineData("0.json", """{"text_list": ["\ud800"], "image_info": []}""", BrokenKind.BadText, "incomplete character")]
    public void Broken_entries_are_counted_and_named(string name, string content, BrokenKind kind, string cause) =>
        CheckTar(kind, cause, Shard.Text(name, content));

    [Theory]
    [InlineData("  \n", BrokenKind.BadText, "empty")]
    [InlineData("an <image> of a ring", BrokenKind.BadText, "<image>")]
    [InlineData("a ring<|endofchunk|>", BrokenKind.BadText, "<|endofchunk|>")]
    public void Broken_captions_are_counted_and_named(string caption, BrokenKind kind, string cause)
    {
        CheckTar(kind, cause, Shard.Pair("0", caption));
        CheckTar(BrokenKind.BadText, "not UTF-8", ("0.png", [1]), ("0.txt", [0x61, 0xff]));
        CheckTar(BrokenKind.MissingPartner, "'caption'", ("0.png", [1]), Shard.Text("0.json", "{\"caption\": 7}"));
        CheckTar(BrokenKind.NoPictureFile, "no bytes", ("0.png", []), Shard.Text("0.txt", "a ring"));
    }

    [Theory]
    [InlineData("/etc/0.png")]
    [InlineData("../0.png")]
    [InlineData("a/../../0.png")]
    [InlineData("a\\0.png")]
    public void Hostile_paths_are_refused(string name) =>
        CheckTar(BrokenKind.RefusedEntry, "leaves its folder", (name, Shard.Picture(1)));

    [Fact]
    public void Links_and_large_entries_are_refused()
    {
        var path = Path.Combine(models.NewFolder(), "0.tar");
        using (var tar = new TarWriter(File.Create(path), TarEntryFormat.Ustar))
        {
            tar.WriteEntry(new UstarTarEntry(TarEntryType.SymbolicLink, "0.png") { LinkName = "/etc/passwd" });
            tar.WriteEntry(new UstarTarEntry(TarEntryType.Directory, "folder/"));
            tar.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, "1.png") { DataStream = new MemoryStream(new byte[2000]) });
            tar.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, "2.png") { DataStream = new MemoryStream(new byte[1000]) });
            tar.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, "2.txt") { DataStream = new MemoryStream("a ring"u8.ToArray()) });
        }

        var stream = new Stream(models, path, Tolerant with { MaxEntryBytes = 1000 });
        Assert.EndsWith("0.tar: 2", stream.Take(1).Single().Origin, StringComparison.Ordinal);
        Assert.Equal(2, stream.Report.Broken[BrokenKind.RefusedEntry]);
        Assert.Contains("SymbolicLink", stream.Report.First[0].Cause, StringComparison.Ordinal);
        Assert.Contains("2000 bytes, more than 1000", stream.Report.First[1].Cause, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    [InlineData(512)]
    [InlineData(3000)]
    [InlineData(11_000)]
    public void A_truncated_tar_gives_what_stands_before_its_end(int after)
    {
        var path = Shard.Write(models.NewFolder(), "0.tar", [.. Shard.Pair("0", "a ring"), .. Shard.Pair("1", "a star")]);
        // Each pair takes a header and 20 blocks, and a header and a block.
        using (var file = File.OpenWrite(path)) file.SetLength((23 * 512) + after);
        var stream = new Stream(models, path, Tolerant);
        Assert.All(stream.Take(3), one => Assert.EndsWith(": 0", one.Origin, StringComparison.Ordinal));
        Assert.Equal((2, 1), (stream.Report.Read, stream.Report.BrokenTotal)); // once, although every epoch reads it again
        Assert.Equal([BrokenKind.DamagedTar], stream.Report.Broken.Keys);
    }

    [Theory]
    [InlineData("777777777777")]
    [InlineData("000000000x00")]
    public void A_lying_size_is_a_damaged_tar(string octal)
    {
        var path = Shard.Write(models.NewFolder(), "1.tar", [.. Shard.Pair("0", "a ring"), .. Shard.Pair("1", "a star")]);
        var bytes = File.ReadAllBytes(path);
        var header = bytes.AsSpan(23 * 512, 512);
        Encoding.ASCII.GetBytes(octal.AsSpan(0, 11), header[124..]);
        header.Slice(148, 8).Fill((byte)' ');
        var sum = 0;
        foreach (var one in header) sum += one;
        Encoding.ASCII.GetBytes(Convert.ToString(sum, 8).PadLeft(6, '0') + "\0", header[148..]);
        File.WriteAllBytes(path, bytes);
        var stream = new Stream(models, path, Tolerant);
        Assert.Single(stream.Take(1));
        stream.Take(2);
        Assert.Equal([BrokenKind.DamagedTar], stream.Report.Broken.Keys);
    }

    [Fact]
    public void Random_bytes_never_end_the_program()
    {
        var folder = models.NewFolder();
        var good = File.ReadAllBytes(Shard.Write(folder, "good.tar", Enumerable.Range(0, 4).SelectMany(
            one => Shard.Pair($"{one}", "a ring", one).Append(Shard.Document($"d{one}", ["a"], (1, 0, 0.5))))));
        var random = new Random(1);
        for (var round = 0; round < 200; round++)
        {
            var bytes = good[..random.Next(1, good.Length)];
            for (var change = random.Next(8); change > 0; change--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            var path = Path.Combine(folder, "bad.tar");
            File.WriteAllBytes(path, bytes);
            var stream = new Stream(models, path, Tolerant);
            try
            {
                Assert.Equal(12, stream.Take(12).Count);
            }
            catch (CheckpointException exception)
            {
                Assert.Contains("no sample that can be used", exception.Message, StringComparison.Ordinal);
            }
        }
    }

    [Theory]
    [InlineData("{\"segments\": [{\"picture\": \"a.png\"}", BrokenKind.BadJson, "bracket")]
    [InlineData("[]", BrokenKind.BadJson, "no object with a list 'segments'")]
    [InlineData("{\"segments\": [7]}", BrokenKind.BadJson, "segments[0] is no object")]
    [InlineData("{\"segments\": [{\"picture\": \"a.png\", \"text\": \"x\"}]}", BrokenKind.BadJson, "either 'picture' or 'text'")]
    [InlineData("{\"segments\": [{}]}", BrokenKind.BadJson, "either 'picture' or 'text'")]
    [InlineData("{\"segments\": [{\"text\": 7}]}", BrokenKind.BadJson, "'text' that is no text")]
    [InlineData("{\"segments\": [{\"text\": \"x\", \"los\": false}]}", BrokenKind.BadJson, "unknown member 'los'")]
    [InlineData("{\"segments\": [{\"text\": \"x\", \"loss\": 0}]}", BrokenKind.BadJson, "neither true nor false")]
    [InlineData("{\"segments\": [{\"picture\": \"a.png\", \"loss\": false}]}", BrokenKind.BadJson, "only a text may have")]
    [InlineData("{\"segments\": [{\"text\": \"x\", \"description\": \"y\"}]}", BrokenKind.BadJson, "only a picture may have")]
    [InlineData("{\"segments\": [{\"text\": \"a ring\"}]}", BrokenKind.NoPictures, "no picture")]
    [InlineData("{\"segments\": [{\"picture\": \"none.png\"}, {\"text\": \"x\"}]}", BrokenKind.NoPictureFile, "none.png is missing")]
    [InlineData("{\"segments\": [{\"picture\": \"empty.png\"}, {\"text\": \"x\"}]}", BrokenKind.NoPictureFile, "is empty")]
    [InlineData("{\"segments\": [{\"picture\": \"/dev/zero\"}, {\"text\": \"x\"}]}", BrokenKind.NoPictureFile, "is empty")]
    [InlineData("{\"segments\": [{\"picture\": \".\"}, {\"text\": \"x\"}]}", BrokenKind.NoPictureFile, "is missing")]
    [InlineData("{\"segments\": [{\"picture\": \"a\\u0000\"}, {\"text\": \"x\"}]}", BrokenKind.NoPictureFile, "")]
    [InlineData("{\"segments\": [{\"picture\": \"a.png\"}]}", BrokenKind.NothingToLearn, "no token")]
    [InlineData("{\"segments\": [{\"text\": \"x\"}, {\"picture\": \"a.png\"}]}", BrokenKind.NothingToLearn, "no token")]
    [InlineData("{\"segments\": [{\"picture\": \"a.png\"}, {\"text\": \"x\", \"loss\": false}]}", BrokenKind.NothingToLearn, "no token")]
    [InlineData("{\"segments\": [{\"picture\": \"a.png\"}, {\"text\": \"<image>\"}]}", BrokenKind.BadText, "<image>")]
    [InlineData("{\"segments\": [{\"picture\": \"a.png\"}, {\"text\": \"one two three four\"}]}", BrokenKind.TooLong, "the limit is 4")]
    [InlineData("{\"segments\": [{\"picture\": \"a.png\"}, {\"text\": \"\\ud800\"}]}", BrokenKind.BadText, "incomplete character")]
    [InlineData("{\"segments\": [{\"\\ud800\": 1}]}", BrokenKind.BadText, "incomplete character")]
    public void Broken_lines_are_counted_and_named(string line, BrokenKind kind, string cause)
    {
        var folder = models.NewFolder();
        File.WriteAllBytes(Path.Combine(folder, "a.png"), [1]);
        File.WriteAllBytes(Path.Combine(folder, "empty.png"), []);
        var path = Shard.Lines(folder, "a.jsonl", "\uFEFF{\"segments\": [{\"picture\": \"a.png\"}, {\"text\": \"red\"}]}\r", "", line);
        var stream = new Stream(models, path, Tolerant with { MaxExampleTokens = 4 });
        Assert.All(stream.Take(3), one => Assert.Equal($"{path} line 1", one.Origin));
        var broken = Assert.Single(stream.Report.First);
        Assert.Equal((kind, $"{path} line 3"), (broken.Kind, broken.Origin));
        Assert.Contains(cause, broken.Cause, StringComparison.Ordinal);
    }

    [Fact]
    public void A_line_without_end_takes_no_memory()
    {
        var folder = models.NewFolder();
        File.WriteAllBytes(Path.Combine(folder, "a.png"), [1]);
        var path = Shard.Lines(folder, "a.jsonl", new string(' ', 300_000),
            "{\"segments\": [{\"picture\": \"a.png\"}, {\"text\": \"red\"}]}", new string('{', 300_000));
        var stream = new Stream(models, path, Tolerant with { MaxLineBytes = 100_000 });
        Assert.Equal($"{path} line 2", stream.Take(2)[1].Origin);
        Assert.Equal(2, stream.Report.Broken[BrokenKind.TooLong]);
    }

    [Fact]
    public void More_broken_samples_than_the_bound_stop_the_run()
    {
        var folder = models.NewFolder();
        var path = Shard.Write(folder, "0.tar", Enumerable.Range(0, 100).SelectMany(
            one => one % 4 == 0 ? [Shard.Text($"{one}.txt", "lonely")] : Shard.Pair($"{one}", "a ring")));
        var options = new DataOptions { ShuffleBuffer = 0, MostBroken = 0.2, BrokenAfter = 50 };
        var read = new List<TrainingSequence>();
        var stopped = Assert.Throws<CheckpointException>(() =>
        {
            var encoder = new SequenceEncoder(models.DirectoryOf("shapes").Config, models.TokenizerOf("shapes"), options);
            read.AddRange(new DataStream(DataSpec.Parse(path), encoder, options, 1, new DataReport(options)).Read(0, default).Take(1000));
        });
        Assert.Contains("53 samples read, 14 broken (14 missing partner)", stopped.Message, StringComparison.Ordinal);
        Assert.Contains("At most 20 % may be", stopped.Message, StringComparison.Ordinal);
        Assert.Contains($"{path}: 0: missing partner: the text has no picture beside it.", stopped.Message, StringComparison.Ordinal);
        // A small file is looked at when its first epoch ends.
        stopped = Assert.Throws<CheckpointException>(() => new Stream(models, path, options with { BrokenAfter = 1000 }).Take(1000));
        Assert.Contains("100 samples read, 25 broken", stopped.Message, StringComparison.Ordinal);
        Assert.Equal(1000, new Stream(models, path, options with { MostBroken = 0.25, BrokenAfter = 100 }).Take(1000).Count);
    }

    [Theory]
    [InlineData("a.jsonl", "")]
    [InlineData("a.jsonl", "no JSON")]
    [InlineData("a.tar", "")]
    [InlineData("a.tar", "no tar at all")]
    public void Data_without_any_usable_sample_are_refused(string name, string content)
    {
        var path = Path.Combine(models.NewFolder(), name);
        File.WriteAllText(path, content);
        var refused = Assert.Throws<CheckpointException>(() => new Stream(models, path, Tolerant).Take(1));
        Assert.Contains($"--data {path} has no sample that can be used", refused.Message, StringComparison.Ordinal);
    }

    // Puts the entries before a good pair; the pair must come, and the entries be named.
    private void CheckTar(BrokenKind kind, string cause, params (string Name, byte[] Bytes)[] entries)
    {
        var path = Shard.Write(models.NewFolder(), "0.tar", [.. entries, .. Shard.Pair("good", "a ring")]);
        var stream = new Stream(models, path, Tolerant);
        Assert.All(stream.Take(3), one => Assert.Equal($"{path}: good", one.Origin));
        var broken = Assert.Single(stream.Report.First);
        Assert.Equal(kind, broken.Kind);
        Assert.StartsWith($"{path}: ", broken.Origin, StringComparison.Ordinal);
        Assert.Contains(cause, broken.Cause, StringComparison.Ordinal);
        Assert.Equal((2, 1), (stream.Report.Read, stream.Report.BrokenTotal));
    }
}
