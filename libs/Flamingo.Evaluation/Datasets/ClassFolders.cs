using System.Text.Json;
using Flamingo.Evaluation.Datasets.Reading;

namespace Flamingo.Evaluation.Datasets;

/// <summary>
/// Reads ImageNet, or any folder with one folder of pictures per class. Where the folder has <c>train</c> and <c>val</c>, or <c>test</c>,
/// shots come from the first and queries from the second; a folder of classes alone has queries and no examples. A label is the class's
/// name in <c>--class-names</c>, or else the folder's name with spaces for underscores. Folders with one name are one label.
/// </summary>
internal static class ClassFolders
{
    private const string NamesRemedy = "The file has lines of folder and name, or is JSON: {\"folder\": \"name\"}, {\"0\": [\"folder\", "
        + "\"name\"]}, or the names as a list in the order of the folders.";

    private static readonly HashSet<string> Endings =
        new([".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"], StringComparer.OrdinalIgnoreCase);

    public static Benchmark Read(BenchmarkFiles files, FaultReport faults)
    {
        var root = Path.GetFullPath(files.Folder!);
        var asked = new[] { "val", "test" }.Select(name => Path.Combine(root, name)).FirstOrDefault(Directory.Exists) ?? root;
        var train = Path.Combine(root, "train");
        var hasExamples = asked != root && Directory.Exists(train);
        string[] folders = [.. Classes(asked).Concat(hasExamples ? Classes(train) : []).Distinct().Order(StringComparer.Ordinal)];
        if (Classes(asked).Count == 0)
            faults.Add(new FilePlace(asked), "The folder has no folders of classes.", "Sort its pictures into one folder per class.");
        var names = files.ClassNames is { } file ? Names(file, folders, faults)
            : folders.ToDictionary(folder => folder, folder => folder.Replace('_', ' '));
        if (faults.Any) return Of([], [], []);
        string[] labels = [.. folders.Select(folder => names[folder]).Distinct()];
        return Of(Items(asked, names, faults), hasExamples ? Items(train, names, faults) : [], labels);

        static Benchmark Of(IReadOnlyList<BenchmarkItem> queries, IReadOnlyList<BenchmarkItem> examples, IReadOnlyList<string> labels) =>
            new("imagenet", BenchmarkKind.Classify, BenchmarkMetric.Accuracy, queries, examples) { Labels = labels };
    }

    private static IReadOnlyList<string> Classes(string folder) =>
        [.. new DirectoryInfo(folder).EnumerateDirectories().Select(one => one.Name).Where(name => name[0] != '.')];

    private static List<BenchmarkItem> Items(string folder, IReadOnlyDictionary<string, string> names, FaultReport faults)
    {
        var items = new List<BenchmarkItem>();
        foreach (var name in Classes(folder).Order(StringComparer.Ordinal))
        {
            var (path, before) = (Path.Combine(folder, name), items.Count);
            items.AddRange(Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories)
                .Where(file => Endings.Contains(Path.GetExtension(file))).Order(StringComparer.Ordinal)
                .Select(file => new BenchmarkItem(Path.GetRelativePath(folder, file), [new PicturePart(file)], [names[name]])
                {
                    Answer = names[name],
                }));
            if (items.Count == before)
                faults.Add(new FilePlace(path), "The class has no picture.",
                    $"Put pictures there ({string.Join(' ', Endings)}), or remove it.");
        }

        return items;
    }

    private static IReadOnlyDictionary<string, string> Names(string file, IReadOnlyList<string> folders, FaultReport faults)
    {
        var names = new Dictionary<string, string>();
        var isJson = string.Equals(Path.GetExtension(file), ".json", StringComparison.OrdinalIgnoreCase);
        if (isJson) JsonFile.ReadWhole(file, faults, ReadJson);
        else ReadLines();
        if (faults.Any) return names;
        var missing = folders.Where(folder => !names.ContainsKey(folder)).ToList();
        if (missing.Count > 0)
            faults.Add(new FilePlace(file), $"{missing.Count} classes have no name, the first of them {missing[0]}.", NamesRemedy);
        return names;

        void Add(FilePlace place, string folder, string? name)
        {
            if (string.IsNullOrWhiteSpace(name)) faults.Add(place, $"{folder} has no name.", NamesRemedy);
            else if (!names.TryAdd(folder, name.Trim())) faults.Add(place, $"{folder} is there twice.", "Take one of the two out.");
        }

        void ReadJson(JsonEntry entry)
        {
            switch (entry.Value.ValueKind)
            {
                case JsonValueKind.Array when entry.Value.GetArrayLength() == folders.Count:
                    foreach (var (folder, name) in folders.Zip(entry.Elements())) Add(name.Place, folder, name.AsTextOrNumber("The name"));
                    break;
                case JsonValueKind.Array:
                    entry.Fault($"The list has {entry.Value.GetArrayLength()} names for {folders.Count} folders of classes.", NamesRemedy);
                    break;
                case JsonValueKind.Object:
                    foreach (var (key, member) in entry.Members() ?? [])
                    {
                        if (member.Value.ValueKind == JsonValueKind.Array && member.Elements() is [var folder, var name, ..])
                            Add(member.Place, folder.AsTextOrNumber("The folder") ?? "", name.AsTextOrNumber("The name"));
                        else
                            Add(member.Place, key, member.AsTextOrNumber("The name"));
                    }

                    break;
                default:
                    entry.Fault("The file is neither an object nor a list.", NamesRemedy);
                    break;
            }
        }

        void ReadLines()
        {
            foreach (var (index, line) in File.ReadLines(file).Index())
            {
                if (string.IsNullOrWhiteSpace(line)) continue;
                var end = line.IndexOf('\t', StringComparison.Ordinal) is var tab and >= 0 ? tab
                    : line.IndexOf(' ', StringComparison.Ordinal);
                if (end < 0) faults.Add(new FilePlace(file, index + 1), $"{line} has no name.", NamesRemedy);
                else Add(new FilePlace(file, index + 1), line[..end], Name(line[..end], line[(end + 1)..]));
            }
        }
    }

    // ImageNet's own list, LOC_synset_mapping.txt, has all names of a synset, such as "n01440764 tench, Tinca tinca"
    private static string Name(string folder, string name) =>
        folder.Length == 9 && folder[0] == 'n' && folder.Skip(1).All(char.IsAsciiDigit) ? name.Split(',', 2)[0] : name;
}
