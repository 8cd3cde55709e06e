using Flamingo.Abstractions;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Prompts;
using Flamingo.Stages;

namespace Flamingo.Gateway.Tests.Latents;

public sealed class LatentKeyTests
{
    [Fact]
    public void Every_ingredient_changes_the_key()
    {
        string[] keys =
        [
            LatentKey.Compute("p", "v", "r", "1", TensorDtype.Float32, ""),
            LatentKey.Compute("q", "v", "r", "1", TensorDtype.Float32, ""),
            LatentKey.Compute("p", "w", "r", "1", TensorDtype.Float32, ""),
            LatentKey.Compute("p", "v", "s", "1", TensorDtype.Float32, ""),
            LatentKey.Compute("p", "v", "r", "2", TensorDtype.Float32, ""),
            LatentKey.Compute("p", "v", "r", "1", TensorDtype.BFloat16, ""),
            LatentKey.Compute("p", "v", "r", "1", TensorDtype.Float32, "tenant"),
            LatentKey.Compute("pv", "", "r", "1", TensorDtype.Float32, ""), // adjacent parts are not concatenated ambiguously
        ];
        Assert.Distinct(keys);
        Assert.All(keys, key => Assert.True(PictureId.IsWellFormed(key)));
        Assert.Equal(keys[0], LatentKey.Compute("p", "v", "r", "1", TensorDtype.Float32, ""));
    }

    [Theory]
    [InlineData("", false)]
    [InlineData("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", true)]
    [InlineData("E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", false)]
    [InlineData("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85g", false)]
    [InlineData("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8550", false)]
    public void Ids_are_64_lowercase_hexadecimal_characters(string id, bool wellFormed) =>
        Assert.Equal(wellFormed, PictureId.IsWellFormed(id));

    [Fact]
    public void An_id_is_the_sha256_of_the_file() =>
        Assert.Equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", PictureId.Of([]));
}
