using Flamingo.Evaluation.Datasets.Reading;

namespace Flamingo.Evaluation.Datasets;

/// <summary>
/// Reads Hateful Memes: JSON lines of id, img, label and text. The words of the prompt are the benchmark's own, as OpenFlamingo has them,
/// so an item is <see cref="BenchmarkKind.Complete"/>: the picture, a text with the words on the picture and the question, and then one of
/// the labels <c>yes</c> and <c>no</c>, of which the likelier one is the answer.
/// </summary>
internal static class HatefulMemes
{
    public static Benchmark Read(BenchmarkFiles files, FaultReport faults)
    {
        var folder = new PictureFolder(files.Images!);
        var queries = ReadSplit(files.TestAnnotations!, folder, faults);
        var examples = files.TrainAnnotations is { } train ? ReadSplit(train, folder, faults) : [];
        return new Benchmark("hateful-memes", BenchmarkKind.Complete, BenchmarkMetric.RocAuc, queries, examples) { Labels = ["yes", "no"] };
    }

    private static List<BenchmarkItem> ReadSplit(string file, PictureFolder folder, FaultReport faults)
    {
        var (items, ids, unlabelled, count) = (new List<BenchmarkItem>(), new HashSet<string>(), new List<JsonEntry>(), 0);
        JsonFile.ReadLines(file, faults, entry =>
        {
            count++;
            var (id, name, text) = (entry.Id("id"), entry.Words("img"), entry.Text("text"));
            if (id is null || name is null || text is null) return;
            if (!ids.Add(id))
            {
                entry.Fault($"The meme {id} is there twice.", "Take one of the two out.");
                return;
            }

            if (!entry.Has("label"))
            {
                unlabelled.Add(entry with { Value = default });
                return;
            }

            if (entry.Integer("label") is not { } label) return;
            if (label is not (0 or 1))
            {
                entry.Fault($"label is {label}.", "It is 1 for hateful and 0 for not hateful.");
                return;
            }

            // the publisher's names begin with img/, which is the folder of --images in OpenFlamingo's options
            var shortName = name.StartsWith("img/", StringComparison.Ordinal) ? name["img/".Length..] : name;
            if (folder.Find(entry, shortName, name) is not { } path) return;
            var answer = label == 1 ? "yes" : "no";
            var prompt = $"is an image with: '{text}' written on it. Is it hateful? Answer:";
            items.Add(new BenchmarkItem(id, [new PicturePart(path), new TextPart(prompt)], [answer]) { Question = text, Answer = answer });
        });

        if (unlabelled.Count > 0 && unlabelled.Count == count)
            faults.Add(new FilePlace(file), "The memes have no label, and ROC-AUC needs them.",
                "Name a file with labels, for example dev.jsonl; those of the test split were not published with it.");
        else
            foreach (var entry in unlabelled) entry.Fault("label is missing.", "It is 1 for hateful and 0 for not hateful.");
        return items;
    }
}
