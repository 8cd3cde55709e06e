using Flamingo.Modeling.Runtime;
using Flamingo.Modeling.Tensors;

using static TorchSharp.torch;

namespace Flamingo.Modeling.Tests.Tensors;

/// <summary>
/// Scalars outlive the calls that use them. When scalars were created for each call, as <c>x + y</c> does for its factor 1, a
/// test of <c>BatchedAttention</c> once failed because the garbage collector had freed a scalar before torch read it.
/// </summary>
public sealed class ScalarsTests
{
    [Fact]
    public void A_number_is_made_once_and_lives_on()
    {
        Assert.Same(Scalars.Of(1.702), Scalars.Of(1.702));
        Assert.Same(Scalars.One, Scalars.Of(1));
        Assert.NotSame(Scalars.Of(1), Scalars.Of(1.0)); // an integer and a real number
    }

    [Fact]
    public async Task Sums_are_right_while_garbage_is_collected_all_the_time()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var collecting = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested) GC.Collect();
        }, cancellation);
        using var thread = new InferenceThread(1);
        var wrong = await thread.RunAsync(() =>
        {
            var (left, right, count) = (Scalars.Range(64, ScalarType.Int64, CPU), ones(64, ScalarType.Int64, CPU), 0);
            for (var round = 0; round < 3000; round++)
            {
                using var sum = left.Plus(right);
                using var scaled = sum.mul(Scalars.Of(3));
                if (scaled.data<long>()[63] != 192) count++;
            }

            return count;
        }, cancellation);
        await stop.CancelAsync();
        await collecting;
        Assert.Equal(0, wrong);
    }

    /// <summary>
    /// Networks must take their scalars from <see cref="Scalars"/>, because operators with numbers and the operator + create one
    /// for each call.
    /// </summary>
    [Fact]
    public void Networks_make_no_numbers_of_their_own()
    {
        string[] rooms =
            ["services/VisionEncoder/Model/Network", "services/Resampler/Model/Network", "services/LanguageModel/Model/Network"];
        var made = rooms.SelectMany(room =>
            Directory.EnumerateFiles(Testing.RepositoryFiles.Path(room.Split('/')), "*.cs", SearchOption.AllDirectories))
            .SelectMany(file => File.ReadLines(file).Index()
                .Select(line => (File: Path.GetFileName(file), Line: line.Index + 1, Text: line.Item)))
            .Where(line => !line.Text.TrimStart().StartsWith("//", StringComparison.Ordinal)
                && System.Text.RegularExpressions.Regex.IsMatch(
                    line.Text,
                    @"(?<!Scalars\.R)\barange\(|\.(mul|div|add|sub|pow|gt|lt|masked_fill|clamp_min|addcmul)_?\(([^()]*, *)?-?\d"
                        + @"|(x|text|attended|latents) \+ \w"))
            .Select(line => $"{line.File}:{line.Line}: {line.Text.Trim()}");
        Assert.Empty(made);
    }
}
