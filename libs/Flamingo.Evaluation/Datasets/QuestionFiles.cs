using System.Globalization;
using Flamingo.Evaluation.Datasets.Reading;

namespace Flamingo.Evaluation.Datasets;

/// <summary>
/// Reads VQAv2, OK-VQA, TextVQA and VizWiz: queries are the questions of the options <c>--test-…</c>, by which OpenFlamingo means the
/// validation split, and shots come from those of <c>--train-…</c>. A file of questions has one of three forms, which it shows itself:
/// VQA's <c>{"questions": […]}</c> with answers in a file of annotations, TextVQA's <c>{"data": […]}</c> and VizWiz's list, both with
/// answers of their own.
/// </summary>
internal static class QuestionFiles
{
    private static readonly string[] CocoSplits = ["train2014", "val2014", "test2015"];

    /// <summary>VQAv2 and OK-VQA, whose pictures are COCO's.</summary>
    public static Benchmark ReadCoco(string name, BenchmarkFiles files, FaultReport faults) =>
        Read(name, files, faults, files.TrainImages, files.TestImages!, (entry, folder, image) =>
        {
            if (!long.TryParse(image, NumberStyles.None, CultureInfo.InvariantCulture, out var number))
            {
                entry.Fault($"image_id is {image} and not a number.", "Name questions about COCO's pictures.");
                return null;
            }

            // ids are unique among the splits, so a name tells no more than the id
            var like = Path.GetFileName(Path.TrimEndingDirectorySeparator(folder.Path));
            var splits = CocoSplits.OrderByDescending(split => like == split);
            return folder.Find(entry, [.. splits.Select(split => $"COCO_{split}_{number:D12}.jpg"), $"{number:D12}.jpg"]);
        });

    public static Benchmark ReadTextVqa(BenchmarkFiles files, FaultReport faults) =>
        Read("textvqa", files, faults, files.Images, files.Images!, (entry, folder, image) => folder.Find(entry, $"{image}.jpg"))
            with { MaxTokens = 10 };

    public static Benchmark ReadVizWiz(BenchmarkFiles files, FaultReport faults) =>
        Read("vizwiz", files, faults, files.TrainImages, files.TestImages!, (entry, folder, image) => folder.Find(entry, image));

    private delegate string? FindPicture(JsonEntry entry, PictureFolder folder, string image);

    private static Benchmark Read(
        string name, BenchmarkFiles files, FaultReport faults, string? trainImages, string testImages, FindPicture find)
    {
        var queries = ReadSplit(
            files.TestQuestions!, files.TestAnnotations, BenchmarkOption.TestAnnotations, testImages, faults, find, isExamples: false);
        var needed = new[] { BenchmarkOption.TrainImages, BenchmarkOption.TrainQuestions, BenchmarkOption.TrainAnnotations };
        var given = needed.Where(option => option.Get(files) is not null).ToList();
        if (files.TrainQuestions is { } questions && trainImages is not null)
        {
            var examples = ReadSplit(
                questions, files.TrainAnnotations, BenchmarkOption.TrainAnnotations, trainImages, faults, find, isExamples: true);
            return Of(examples);
        }

        if (given.Count > 0)
            faults.Add(new FilePlace(given[0].Get(files)!), $"{given[0].Name} is given without the other files of the examples.",
                $"Give {(trainImages is null ? "--train-images" : "--train-questions-json")} too, or none of them for zero shots alone.");
        return Of([]);

        Benchmark Of(IReadOnlyList<BenchmarkItem> examples) =>
            new(name, BenchmarkKind.Answer, BenchmarkMetric.VqaAccuracy, queries, examples) { MaxTokens = 5 };
    }

    private static List<BenchmarkItem> ReadSplit(
        string file, string? annotations, BenchmarkOption option, string images, FaultReport faults, FindPicture find, bool isExamples)
    {
        var answers = annotations is null ? null : Answers(annotations, faults, isExamples);
        var (items, folder, ids) = (new List<BenchmarkItem>(), new PictureFolder(images), new HashSet<string>());
        var (withoutAnswers, count) = (new List<(JsonEntry Entry, string Id)>(), 0);
        var found = JsonFile.Read(file, faults, new Dictionary<string, Action<JsonEntry>>
        {
            ["questions"] = entry => Take(entry, entry.Id("question_id"), entry.TextOrNumber("image_id")),
            ["data"] = entry => Take(entry, entry.Id("question_id"), entry.TextOrNumber("image_id")),
            [""] = entry => Take(entry, entry.Text("image"), entry.Text("image")),
        });

        if (withoutAnswers.Count > 0 && withoutAnswers.Count == count && answers is null)
            faults.Add(new FilePlace(file), "The questions have no answers, and VQA accuracy needs them.",
                $"Name the annotations with {option.Name}; those of test splits are not published, so ask the validation split.");
        else
            foreach (var (entry, id) in withoutAnswers)
                entry.Fault($"The question {id} has no answers{(annotations is null ? "" : $" in {annotations}")}.",
                    "Add them, or take the question out.");
        if (found.Count == 0 && !faults.Any)
            faults.Add(new FilePlace(file), "The file has no list 'questions' or 'data'.", "Name the publisher's file of questions.");
        else if (count == 0 && !faults.Any)
            faults.Add(new FilePlace(file), "The file has no question.", "Name the publisher's file of questions.");
        return items;

        void Take(JsonEntry entry, string? id, string? image)
        {
            count++;
            var question = entry.Text("question");
            if (id is null || image is null || question is null) return;
            if (!ids.Add(id))
            {
                entry.Fault($"The question {id} is there twice.", "Take one of the two out.");
                return;
            }

            var references = answers is not null ? answers.GetValueOrDefault(id)
                : entry.Has("answers") ? AnswersOf(entry, isExamples) : null;
            if (references is null)
            {
                withoutAnswers.Add((entry with { Value = default }, id));
                return;
            }

            if (references.Count == 0 || find(entry, folder, image) is not { } path) return;
            items.Add(new BenchmarkItem(id, [new PicturePart(path)], references)
            {
                Question = question, Answer = isExamples ? references[0] : "",
            });
        }
    }

    private static Dictionary<string, IReadOnlyList<string>> Answers(string file, FaultReport faults, bool isExamples)
    {
        var answers = new Dictionary<string, IReadOnlyList<string>>();
        var found = JsonFile.Read(file, faults, new Dictionary<string, Action<JsonEntry>>
        {
            ["annotations"] = entry =>
            {
                if (entry.Id("question_id") is not { } id) return;
                if (!answers.TryAdd(id, AnswersOf(entry, isExamples)))
                    entry.Fault($"The question {id} is annotated twice.", "Take one of the two out.");
            },
        });
        if (found.Count == 0 && !faults.Any)
            faults.Add(new FilePlace(file), "The file has no list 'annotations'.", "Name the publisher's file of annotations.");
        return answers;
    }

    /// <summary>The answers of ten people, of which an example keeps the first. None after a fault.</summary>
    private static IReadOnlyList<string> AnswersOf(JsonEntry entry, bool isExample)
    {
        if (entry.List("answers") is not { } list) return [];
        if (list.Count == 0) entry.Fault("answers is empty.", "Add the answers, or take the question out.");
        var answers = list.Take(isExample ? 1 : list.Count).Select(Answer).OfType<string>().ToArray();
        return answers.Length == (isExample ? Math.Min(1, list.Count) : list.Count) ? answers : [];

        // TextVQA has texts, the others objects
        static string? Answer(JsonEntry answer) => answer.Value.ValueKind == System.Text.Json.JsonValueKind.Object
            ? answer.TextOrNumber("answer") : answer.AsTextOrNumber("An answer");
    }
}
