using System.Runtime.CompilerServices;
using Flamingo.Gateway.Latents;
using Flamingo.Testing;

namespace Flamingo.Gateway.Tests.Latents;

/// <summary>The code from a picture to its latents is one namespace that is small enough to be read at once.</summary>
public sealed class NamespaceSizeTests
{
    private const int Most = 8;

    [Fact]
    public void From_picture_to_latents_there_are_at_most_eight_files_and_eight_types()
    {
        var folder = RepositoryFiles.Path("services", "Gateway", "Pipeline", "Latents");
        var files = Directory.GetFiles(folder, "*.cs", SearchOption.AllDirectories);
        var types = typeof(LatentCache).Assembly.GetTypes().Where(type =>
            type.Namespace == typeof(LatentCache).Namespace && !type.IsNested
                && !type.IsDefined(typeof(CompilerGeneratedAttribute), false));
        // The memory tier is a general map in the namespace Eviction; it counts as one more file and one more type.
        Assert.InRange(files.Length + 1, 2, Most);
        Assert.InRange(types.Count() + 1, 2, Most);
    }

    [Fact]
    public void There_is_one_answer_to_a_question_for_latents()
    {
        var results = typeof(LatentCache).GetMethods().Where(method => method.DeclaringType == typeof(LatentCache)).ToList();
        Assert.Equal(typeof(Task<IReadOnlyList<PictureLatents>>), Assert.Single(results).ReturnType);
    }
}
