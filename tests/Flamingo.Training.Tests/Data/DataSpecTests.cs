using Flamingo.Checkpoints;
using Flamingo.Training.Data;

namespace Flamingo.Training.Tests.Data;

public sealed class DataSpecTests(Models models)
{
    [Theory]
    [InlineData("a.tar", "a.tar")]
    [InlineData("a-{08..11}.tar", "a-08.tar a-09.tar a-10.tar a-11.tar")]
    [InlineData("a-{8..11}.tar", "a-8.tar a-9.tar a-10.tar a-11.tar")]
    [InlineData("{a,b}/{0..1}.tar", "a/0.tar a/1.tar b/0.tar b/1.tar")]
    public void Braces_are_expanded(string path, string files) => Assert.Equal(files.Split(' '), new DataSpec(path, 1).Files);

    [Fact]
    public void A_loss_follows_a_comma_and_is_1_otherwise()
    {
        var folder = models.NewFolder();
        foreach (var name in new[] { "a,b.jsonl", "0.tar", "1.tar" }) File.WriteAllText(Path.Combine(folder, name), "");
        Assert.Equal(0.2, DataSpec.Parse($"{folder}/{{0..1}}.tar,loss=0.2").LossMultiplier);
        Assert.Equal(2, DataSpec.Parse($"{folder}/{{0,1}}.tar,loss=0.2").Files.Count);
        var plain = DataSpec.Parse($"{folder}/a,b.jsonl");
        Assert.Equal((1.0, true), (plain.LossMultiplier, plain.IsLines));
    }

    [Theory]
    [InlineData("", "the path is empty")]
    [InlineData(",loss=1", "the path is empty")]
    [InlineData("a.jsonl,loss=0", "loss is '0'")]
    [InlineData("a.jsonl,loss=NaN", "loss is 'NaN'")]
    [InlineData("a.jsonl,weight=2", "'weight' is unknown")]
    [InlineData("https://host/a.tar", "no local file")]
    [InlineData("a.tar.gz", "neither .tar nor .jsonl")]
    [InlineData("a.{tar,jsonl}", "mixed")]
    [InlineData("{0..3.tar", "not closed")]
    [InlineData("{3..0}.tar", "backwards")]
    [InlineData("{x}.tar", "no range")]
    [InlineData("{0..999999999}.tar", "at most 1000000")]
    [InlineData("{0..9999}{0..9999}.tar", "at most 1000000")]
    [InlineData("/none/{0..9}.tar", "10 of 10 files are missing: /none/0.tar, /none/1.tar, /none/2.tar, …")]
    public void Faults_are_named_before_anything_starts(string text, string problem)
    {
        var fault = Assert.Throws<CheckpointException>(() => DataSpec.Parse(text));
        Assert.Contains(problem, fault.Message, StringComparison.Ordinal);
        Assert.StartsWith("--data ", fault.Message, StringComparison.Ordinal);
    }
}
