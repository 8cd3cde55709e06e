using Flamingo.Evaluation.Datasets.Reading;

namespace Flamingo.Evaluation.Datasets;

/// <summary>
/// Reads COCO and Flickr30k in Karpathy's split: queries are the pictures of the split <c>test</c>, and shots come from those of
/// <c>train</c>, whose first sentence is the caption. References are the captions of <c>--annotations-json</c> in COCO's format; without
/// it they are the sentences of the split's file.
/// </summary>
internal static class CaptionFiles
{
    public static Benchmark ReadCoco(BenchmarkFiles files, FaultReport faults)
    {
        var train = files.TrainImages is { } folder ? new PictureFolder(folder) : null;
        var val = new PictureFolder(files.ValImages!);
        return Read("coco", files, faults, image => image.Id("cocoid"), image => image.Words("filepath") switch
        {
            null => (null, false),
            "train2014" => (train, true),
            _ => (val, true),
        });
    }

    public static Benchmark ReadFlickr30k(BenchmarkFiles files, FaultReport faults)
    {
        var images = new PictureFolder(files.Images!);
        return Read("flickr30k", files, faults, FileId, _ => (images, true));
    }

    // COCO's format of Flickr30k calls a picture by its file's name without the ending
    private static string? FileId(JsonEntry image) =>
        image.Words("filename") is { } name ? JsonEntry.AsId(Path.GetFileNameWithoutExtension(name)) : null;

    private static Benchmark Read(
        string name, BenchmarkFiles files, FaultReport faults, Func<JsonEntry, string?> id,
        Func<JsonEntry, (PictureFolder? Folder, bool IsKnown)> folderOf)
    {
        var (queries, examples, ids) = (new List<BenchmarkItem>(), new List<BenchmarkItem>(), new HashSet<string>());
        var captions = files.AnnotationsJson is { } annotations ? Captions.Read(annotations, faults) : null;
        var found = JsonFile.Read(files.KarpathyJson!, faults, new Dictionary<string, Action<JsonEntry>> { ["images"] = Take });
        if (!faults.Any && queries.Count == 0)
            faults.Add(new FilePlace(files.KarpathyJson!), found.Count == 0 ? "The file has no list 'images'."
                : "No picture is in the split test.", "Name Karpathy's file, dataset_coco.json or dataset_flickr30k.json.");
        return new Benchmark(name, BenchmarkKind.Caption, BenchmarkMetric.Cider, queries, examples);

        void Take(JsonEntry image)
        {
            var split = image.Words("split");
            if (split is not ("train" or "test")) return;
            var (folder, isKnown) = folderOf(image);
            if (!isKnown || (folder is null && split == "train")) return;
            var (key, file, sentences) = (id(image), image.Words("filename"), image.List("sentences"));
            if (key is null || file is null || sentences is null) return;
            if (!ids.Add(key))
            {
                image.Fault($"The picture {key} is there twice.", "Take one of the entries out.");
                return;
            }

            if (folder is null)
            {
                image.Fault($"The picture {file} is one of train2014.", "Name the folder with --train-images.");
                return;
            }

            if (folder.Find(image, file) is not { } path) return;
            if (split == "train")
            {
                if (Sentences(image, sentences.Take(1)) is [var caption])
                    examples.Add(new BenchmarkItem(key, [new PicturePart(path)], [caption]) { Answer = caption });
                return;
            }

            var references = captions is null ? Sentences(image, sentences) : captions.Of(image, key, file);
            if (references.Count > 0) queries.Add(new BenchmarkItem(key, [new PicturePart(path)], references));
        }
    }

    private static IReadOnlyList<string> Sentences(JsonEntry image, IEnumerable<JsonEntry> sentences)
    {
        var texts = sentences.Select(sentence => sentence.Words("raw")?.Trim()).ToList();
        if (texts.Count == 0) image.Fault("The picture has no sentence.", "Add its captions to 'sentences', or take the entry out.");
        return [.. texts.OfType<string>()];
    }

    /// <summary>Captions in COCO's format.</summary>
    private sealed class Captions(string file)
    {
        private readonly Dictionary<string, List<string>> _texts = [];
        private readonly Dictionary<string, string> _idsOfFiles = [];

        public static Captions? Read(string file, FaultReport faults)
        {
            var captions = new Captions(file);
            var found = JsonFile.Read(file, faults, new Dictionary<string, Action<JsonEntry>>
            {
                ["images"] = image =>
                {
                    if (image.Has("file_name") && image.Text("file_name") is { } name && image.Id("id") is { } id)
                        captions._idsOfFiles[Path.GetFileName(name)] = id;
                },
                ["annotations"] = caption =>
                {
                    var (id, text) = (caption.Id("image_id"), caption.Text("caption"));
                    if (id is null || text is null) return;
                    if (!captions._texts.TryGetValue(id, out var texts)) captions._texts[id] = texts = [];
                    texts.Add(text);
                },
            });
            if (found.Contains("annotations")) return captions;
            faults.Add(new FilePlace(file), "The file has no list 'annotations', so CIDEr has no references.",
                "Name captions in COCO's format, for example captions_val2014.json; those of test splits are not published.");
            return null;
        }

        /// <summary>The captions of a picture; a picture without any is a fault.</summary>
        public IReadOnlyList<string> Of(JsonEntry image, string id, string name)
        {
            if (_idsOfFiles.TryGetValue(name, out var other) && _texts.TryGetValue(other, out var texts)) return texts;
            if (_texts.TryGetValue(id, out texts)) return texts;
            image.Fault($"The picture {id} ({name}) has no caption in {file}.",
                "Name the annotations of this split with --annotations-json.");
            return [];
        }
    }
}
