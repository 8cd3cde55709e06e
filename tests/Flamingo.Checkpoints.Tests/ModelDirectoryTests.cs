using System.Text.Json.Nodes;
using Flamingo.Testing;

namespace Flamingo.Checkpoints.Tests;

public sealed class ModelDirectoryTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("flamingo-model-").FullName;

    public ModelDirectoryTests() => RepositoryFiles.Copy(RepositoryFiles.Path("models", "shapes"), _folder);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("vision")]
    [InlineData("resampler")]
    [InlineData("language")]
    public void The_default_model_has_the_digests_it_names(string part)
    {
        var model = ModelDirectory.Open(RepositoryFiles.Path("models", "shapes"));
        using var file = model.OpenWeights(part);
        Assert.Equal(model.Config.Weights[part].Digest, WeightsDigest.Compute(file, _ => true));
        Assert.Equal(model.Config.Weights[part].LatentDigest, WeightsDigest.Compute(file, WeightsDigest.ShapesLatents));
        Assert.All(file.Entries.Values, entry => Assert.Equal("BF16", entry.Dtype));
    }

    [Fact]
    public void A_changed_weight_changes_the_digest_and_the_pooled_projection_only_one_of_them()
    {
        var model = ModelDirectory.Open(_folder);
        var (pooled, latent) = (Changed("proj"), Changed("conv1.weight"));
        var weights = model.Config.Weights["vision"];
        Assert.NotEqual(weights.Digest, pooled.Digest);
        Assert.Equal(weights.LatentDigest, pooled.Latent);
        Assert.NotEqual(weights.Digest, latent.Digest);
        Assert.NotEqual(weights.LatentDigest, latent.Latent);

        (string Digest, string Latent) Changed(string name)
        {
            var path = Path.Combine(_folder, FileName());
            var whole = File.ReadAllBytes(path);
            try
            {
                long offset;
                using (var file = model.OpenWeights("vision")) offset = file.Entries[name].Offset;
                var spoiled = whole.ToArray();
                spoiled[offset] ^= 1;
                File.WriteAllBytes(path, spoiled);
                using var changed = model.OpenWeights("vision");
                return (WeightsDigest.Compute(changed, _ => true), WeightsDigest.Compute(changed, WeightsDigest.ShapesLatents));
            }
            finally
            {
                File.WriteAllBytes(path, whole);
            }
        }

        string FileName() => model.Config.Weights["vision"].File;
    }

    [Fact]
    public void A_truncated_missing_or_exchanged_file_is_refused_by_name()
    {
        var model = ModelDirectory.Open(_folder);
        var vision = Path.Combine(_folder, "vision.safetensors");
        var whole = File.ReadAllBytes(vision);
        File.WriteAllBytes(vision, whole[..^1]);
        Assert.Contains("incomplete", Refused(), StringComparison.Ordinal);
        var renamed = whole.ToArray();
        renamed[renamed.AsSpan().IndexOf("conv1"u8)] = (byte)'C';
        File.WriteAllBytes(vision, renamed);
        Assert.Contains("another header", Refused(), StringComparison.Ordinal);
        File.Delete(vision);
        Assert.Contains("missing", Refused(), StringComparison.Ordinal);

        string Refused()
        {
            var message = Assert.Throws<CheckpointException>(() => model.OpenWeights("vision").Dispose()).Message;
            Assert.Contains("vision.safetensors", message, StringComparison.Ordinal);
            return message;
        }
    }

    [Theory]
    [InlineData("", "the text is empty")]
    [InlineData("null", "is empty")]
    [InlineData("{", "line 1, column 2: the text ends before every bracket is closed")]
    [InlineData("""{"format_version": 1}""", "lacks 'model_id'")]
    [InlineData("""{"format_version": 1, "nonsense": true}""", "'nonsense' is not a known member here")]
    [InlineData("{\"format_version\": 1,\n \"model_id\": 7}", "line 2, column 15: model_id has a value of the wrong kind")]
    [InlineData("{\"format_version\": 1,\n \"format_version\": 1}", "Duplicate property 'format_version'.")]
    [InlineData("{\"format_version\": 1,\n}", "line 2, column 1: a comma stands before the closing bracket")]
    public void A_damaged_configuration_is_one_sentence_for_who_wrote_it(string json, string said)
    {
        File.WriteAllText(Path.Combine(_folder, ModelDirectory.ConfigFile), json);
        var message = Assert.Throws<CheckpointException>(() => ModelDirectory.Open(_folder)).Message;
        Assert.Contains("is damaged", message, StringComparison.Ordinal);
        Assert.Contains(said, message, StringComparison.Ordinal);
        foreach (var advice in new[] { "System.", "Flamingo.Checkpoints", "LineNumber", "reader options",
            "isFinalBlock", "deserialization" })
            Assert.DoesNotContain(advice, message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_byte_order_mark_is_no_part_of_a_configuration()
    {
        var file = Path.Combine(_folder, ModelDirectory.ConfigFile);
        File.WriteAllText(file, File.ReadAllText(file), new System.Text.UTF8Encoding(true));
        Assert.Equal(0xEF, File.ReadAllBytes(file)[0]);
        Assert.NotEmpty(ModelDirectory.Open(_folder).Config.ModelId);
    }

    /// <summary>Without this check, a typing error would make the model compute something else without an error.</summary>
    [Theory]
    [InlineData("vision.activation", "quik_gelu", "quick_gelu or gelu")]
    [InlineData("vision.preprocessing.resize", "crop", "shortest_side_crop or square")]
    [InlineData("vision.preprocessing.alpha", "White", "drop or white or black")]
    [InlineData("vision.preprocessing.orientation", "none", "exif or ignore")]
    [InlineData("resampler.activation", "silu", "gelu or relu")]
    [InlineData("resampler.query_key_norm", "full_width", "none or per_head")]
    [InlineData("resampler.latent_dtype", "f32", "float32 or float16 or bfloat16")]
    public void A_word_that_is_not_known_is_refused_by_name(string key, string value, string known)
    {
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(_folder, ModelDirectory.ConfigFile)))!;
        var parent = key.Split('.')[..^1].Aggregate(config, (node, part) => node[part]!);
        parent[key.Split('.')[^1]] = value;
        File.WriteAllText(Path.Combine(_folder, ModelDirectory.ConfigFile), config.ToJsonString());
        var refused = Assert.Throws<CheckpointException>(() => ModelDirectory.Open(_folder));
        Assert.Contains($"{key} is '{value}', not {known}", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Where_no_orientation_is_named_it_is_that_of_exif()
    {
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(_folder, ModelDirectory.ConfigFile)))!;
        Assert.True(config["vision"]!["preprocessing"]!.AsObject().Remove("orientation"));
        File.WriteAllText(Path.Combine(_folder, ModelDirectory.ConfigFile), config.ToJsonString());
        Assert.Equal("exif", ModelDirectory.Open(_folder).Config.Vision.Preprocessing.Orientation);
    }

    [Fact]
    public void Another_format_and_no_model_at_all_are_said_with_a_remedy()
    {
        var file = Path.Combine(_folder, ModelDirectory.ConfigFile);
        File.WriteAllText(file, File.ReadAllText(file)
            .Replace("\"format_version\": 1", "\"format_version\": 99", StringComparison.Ordinal));
        Assert.Contains("Import the checkpoint again", Assert.Throws<CheckpointException>(() => ModelDirectory.Open(_folder)).Message,
            StringComparison.Ordinal);
        Assert.Contains("flamingo import",
            Assert.Throws<CheckpointException>(() => ModelDirectory.Open(Path.Combine(_folder, "nowhere"))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_written_is_what_is_read()
    {
        var model = ModelDirectory.Open(_folder);
        var before = File.ReadAllText(Path.Combine(_folder, ModelDirectory.ConfigFile));
        ModelDirectory.WriteConfig(_folder, model.Config);
        Assert.Equal(before, File.ReadAllText(Path.Combine(_folder, ModelDirectory.ConfigFile)));
    }
}
