// Writes the shapes world as data to train on and to measure with. README.md explains the options.
var arguments = new Arguments(args);
var output = arguments.Text("--output") ?? "world";
var seed = arguments.Number("--seed", 5);
var size = arguments.Number("--size", 64, least: 16);
var grain = arguments.Number("--grain", 8);
var pictures = arguments.Number("--pictures", 0);
var episodes = arguments.Number("--episodes", 0);
var files = arguments.Number("--files", 1, least: 1);
var pairs = arguments.Number("--shards", 0);
var evaluation = arguments.Text("--evaluation");
var arrows = arguments.Number("--ninth-shape", 0);
var ordinary = arguments.Number("--ordinary", 0);
var sheet = arguments.Text("--sheet");
if (arguments.Problem is { } problem)
{
    Console.Error.WriteLine(problem);
    return 2;
}

// Each part has a source of chance of its own. So a part's files do not depend on which other parts are written.
Random Chance(Part part) => Seeds.Random(seed, (int)part);
Bank NewBank(string name, Part part, int perScene) => new(name, Chance(part).Next(), perScene);

if (pictures > 0) WriteTraining();
if (pairs > 0) WriteShards();
if (evaluation is not null) WriteEvaluation(evaluation);
if (arrows > 0) WriteNinthShape();
if (sheet is not null) WriteSheet(sheet);
return 0;

void WriteTraining()
{
    var bank = NewBank("bank", Part.Pictures, perScene: 1);
    var random = Chance(Part.Scenes);
    var world = new World(random, Words.Training);

    // Two thirds show two things, since there are the most scenes of these. The others go round all things: each thing three times
    // alone, and once in every number from two to four.
    Thing[] things = [.. World.Things()];
    var two = (int)(pictures * 22_000L / 32_368);
    while (bank.Scenes.Count < pictures - two)
    {
        random.Shuffle(things);
        foreach (var scene in things.SelectMany(thing => new[] { 1, 1, 1, 2, 3, 4 }.Select(count => new Scene(thing, Count: count)))
            .Take(pictures - two - bank.Scenes.Count)) bank.Add(scene);
    }

    while (bank.Scenes.Count < pictures) bank.Add(world.Pair(world.Thing()));
    Directory.CreateDirectory(output);
    if (episodes > 0)
    {
        random = Chance(Part.Episodes);
        world = new World(random, Words.Training, [.. bank.Scenes.Where(scene => scene.Second is not null)]);
        for (var file = 0; file < files; file++)
        {
            var count = (int)(((file + 1L) * episodes / files) - ((long)file * episodes / files));
            WriteLines(Path.Combine(output, $"episodes-{file:D2}.jsonl"),
                Enumerable.Range(0, count).Select(_ => Files.TrainingLine(world.Episode(), bank, random)), "episodes");
        }
    }

    WritePictures(bank, output, "bank", size, grain);
}

void WriteShards()
{
    var random = Chance(Part.Shards);
    var world = new World(random, Words.Training);
    var drawn = Enumerable.Range(0, pairs).Select(_ => world.Scene())
        .Select(scene => (Draw.Png(scene, random, size, grain), scene.Description));
    var folder = Path.Combine(output, "shards");
    Console.WriteLine($"{pairs} pairs in {Files.WriteShards(folder, drawn)} tars of {folder}");
}

// The tasks of tests/reference/shapes/evaluation, as many of each, with pictures as people send them: larger and without noise.
void WriteEvaluation(string folder)
{
    var random = Chance(Part.Evaluation);
    var world = new World(random, Words.Evaluation);
    var bank = NewBank("pictures", Part.EvaluationPictures, perScene: 2);
    Directory.CreateDirectory(folder);
    IEnumerable<string> Lines(string task, int count, Func<IReadOnlyList<Turn>> episode) =>
        Enumerable.Range(0, count).Select(_ => Files.EvaluationLine(task, episode(), bank, random));
    WriteLines(Path.Combine(folder, "episodes.jsonl"),
    [
        .. Lines("caption", 120, () => world.Captions(1)),
        .. Lines("vqa", 120, () => world.Questions(2)),
        .. Lines("comparison", 60, () => world.Comparisons(1)),
        .. Lines("naming-object", 60, () => world.Naming("object", 2, 8)),
        .. Lines("naming-color", 40, () => world.Naming("color", 2, 8)),
        .. Lines("naming-shape", 40, () => world.Naming("shape", 2, 8)),
        .. Lines("naming-count", 40, () => world.Naming("count", 2, 8)),
    ], "episodes");
    WriteLines(Path.Combine(folder, "held-out-pairs.jsonl"),
        Lines("caption", 80, () => [World.Caption(new(world.Thing(heldOut: true)))]), "captions of things that no training picture shows");
    WritePictures(bank, folder, "pictures", 192, 0);
}

// An arrow is a shape that the shipped model never saw. It is taught alone in a picture, and asked alone and in other scenes.
void WriteNinthShape()
{
    var random = Chance(Part.NinthShape);
    var world = new World(random, Words.Training);
    var folder = Path.Combine(output, "ninth-shape");
    var bank = NewBank("pictures", Part.NinthShapePictures, perScene: int.MaxValue); // a picture of its own for every example
    Directory.CreateDirectory(folder);
    Scene Alone() => new(world.Thing(shape: World.NinthShape));
    WriteLines(Path.Combine(folder, "arrows.jsonl"),
        Enumerable.Range(0, arrows).Select(_ => Files.TrainingLine([World.Caption(Alone())], bank, random)), "examples of arrows");
    if (ordinary > 0)
    {
        random = Chance(Part.NinthShapeOrdinary);
        world = new World(random, Words.Training);
        WriteLines(Path.Combine(folder, "ordinary.jsonl"),
            Enumerable.Range(0, ordinary).Select(_ => Files.TrainingLine(world.Episode(), bank, random)), "ordinary episodes");
    }

    WritePictures(bank, folder, "pictures", size, grain);

    random = Chance(Part.NinthShapeScenes);
    world = new World(random, Words.Training);
    var held = Path.Combine(folder, "evaluation");
    bank = NewBank("pictures", Part.NinthShapeEvaluation, perScene: int.MaxValue);
    Directory.CreateDirectory(held);
    Scene Together() => random.Next(2) == 0 ? world.Pair(Alone().First) : Alone() with { Count = random.Next(2, 5) };
    WriteLines(Path.Combine(held, "arrows.jsonl"), Enumerable.Range(0, 100)
        .Select(_ => Files.EvaluationLine("caption", [World.Caption(Alone())], bank, random)), "new pictures of arrows");
    WriteLines(Path.Combine(held, "arrows-in-scenes.jsonl"), Enumerable.Range(0, 100)
        .Select(_ => Files.EvaluationLine("caption", [World.Caption(Together())], bank, random)), "arrows among other things");
    WritePictures(bank, held, "pictures", 192, 0);
}

void WriteSheet(string file)
{
    var random = Chance(Part.Sheet);
    var world = new World(random, Words.Training);
    IReadOnlyList<Scene> Row(Func<int, Scene> scene) => [.. Enumerable.Range(0, 8).Select(scene)];
    File.WriteAllBytes(file, Draw.Sheet(
    [
        Row(i => new(world.Thing(shape: World.Shapes[i]))),
        Row(_ => world.Pair(world.Thing())),
        Row(i => new(world.Thing(), Count: 2 + (i % 3))),
        Row(_ => new(world.Thing(shape: World.NinthShape))),
    ], random, size, gap: 4));
    Console.WriteLine($"a sheet of pictures in {file}");
}

static void WriteLines(string file, IEnumerable<string> lines, string what)
{
    var count = 0;
    File.WriteAllLines(file, lines.Select(line => (count++, line).line));
    Console.WriteLine($"{count} {what} in {file}");
}

static void WritePictures(Bank bank, string parent, string name, int size, int grain)
{
    bank.Write(parent, size, grain);
    Console.WriteLine($"{bank.Scenes.Count} pictures of {size} x {size} in {Path.Combine(parent, name)}");
}

internal enum Part
{
    Pictures, Scenes, Episodes, Shards, Evaluation, EvaluationPictures, Sheet,
    NinthShape, NinthShapePictures, NinthShapeOrdinary, NinthShapeScenes, NinthShapeEvaluation,
}
