using Flamingo.Evaluation.Reports;
using Flamingo.Testing;
using Xunit;

namespace Flamingo.Evaluation.Tests.Reports;

public sealed class ThrowawayTests
{
    [Fact]
    public void Sample()
    {
        var folder = Directory.CreateDirectory(RepositoryFiles.Path("artifacts", "report")).FullName;
        var run = new MadeUpRun().Captions(60, 0, 4, 8, 16, 32).Questions(0, 4, 8, 16).Memes().Episodes();
        foreach (var path in Report.WriteBeside(Path.Combine(folder, "shapes.json"), run.Results, run.Benchmarks))
            Console.WriteLine($"{path} {new FileInfo(path).Length}");
    }
}
