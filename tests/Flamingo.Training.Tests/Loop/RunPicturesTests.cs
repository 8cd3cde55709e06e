using System.Text.Json.Nodes;
using Flamingo.Training.Loop;
using SkiaSharp;
using Xunit;

namespace Flamingo.Training.Tests.Loop;

/// <summary>A run's pictures: one panel for each task, so that lines can be told apart.</summary>
public sealed class RunPicturesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;

    [Fact]
    public void Every_task_has_a_panel_and_nothing_unfinished_stays()
    {
        using (var metrics = new RunMetrics(Path.Combine(_folder, "metrics.jsonl"), null))
        {
            for (var step = 1; step <= 20; step++)
                metrics.Add(new JsonObject { ["step"] = (long)step, ["losses"] = new JsonObject { ["pairs"] = 2.0 / step } });
            foreach (var step in new[] { 0, 10, 20 })
                metrics.Add(new JsonObject
                {
                    ["step"] = (long)step,
                    ["accuracy"] = new JsonObject { ["vqa at 1 shots"] = step / 20.0, ["naming at 0 shots"] = 0.0,
                        ["naming at 8 shots"] = step / 25.0,
                        ["a at 1 shots"] = 0.5, ["b at 1 shots"] = 0.5 },
                });
            metrics.Draw();
        }

        Assert.Equal(["accuracy.png", "losses.png", "metrics.jsonl"], Directory.GetFiles(_folder).Select(Path.GetFileName).Order());
        using var losses = SKBitmap.Decode(Path.Combine(_folder, "losses.png"));
        using var accuracy = SKBitmap.Decode(Path.Combine(_folder, "accuracy.png"));
        Assert.True(accuracy.Width > losses.Width, "four tasks take three columns");
        Assert.True(accuracy.Height > losses.Height, "and two rows");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
