// The shapes world: what can be seen in a picture, how it is described, and what can be asked about it.

internal sealed record Thing(string Size, string Color, string Shape)
{
    public override string ToString() => $"{Size} {Color} {Shape}";
}

/// <summary>What a picture shows: one thing, two things in a relation, or two to four things alike.</summary>
/// <param name="Second">The right or lower one of two things; null if the picture does not show two different things.</param>
/// <param name="Relation">How the first thing lies to the second: "left of" or "above".</param>
/// <param name="Count">How many things like the first there are.</param>
internal sealed record Scene(Thing First, Thing? Second = null, string? Relation = null, int Count = 1)
{
    // A scene of two things has one description, which begins with the left or upper thing. If both orders were right, no model could
    // know which one is expected, and captions could not become better than a coin allows.
    public string Description =>
        Second is not null ? $"a {First} {Relation} a {Second}"
        : Count == 1 ? $"a {First}"
        : $"{World.Numbers[Count - 1]} {World.Plural(First.ToString())}";
}

/// <summary>One picture of an episode, the words that ask about it, and the answer. A picture that is only shown has no answer.</summary>
internal sealed record Turn(Scene Scene, string Prompt, string Answer);

/// <summary>Draws scenes, questions and whole episodes by chance.</summary>
/// <param name="words">The new words of the episodes.</param>
/// <param name="pairs">Scenes of two things to choose from; null if every such scene will do.</param>
internal sealed class World(Random random, IReadOnlyList<string> words, IReadOnlyList<Scene>? pairs = null)
{
    public const string NinthShape = "arrow";

    public static readonly string[] Sizes = ["small", "large"];
    public static readonly string[] Colors = ["red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "white", "brown"];
    public static readonly string[] Shapes = ["circle", "square", "triangle", "star", "cross", "heart", "ring", "hexagon"];
    public static readonly string[] Numbers = ["one", "two", "three", "four"];

    // No training picture shows one of these. Who describes a red star rightly has put it together from red and from star.
    private static readonly HashSet<(string Color, string Shape)> HeldOut =
    [
        ("red", "star"), ("blue", "heart"), ("green", "ring"), ("yellow", "cross"),
        ("pink", "square"), ("white", "triangle"), ("cyan", "hexagon"), ("brown", "circle"),
    ];

    private static readonly (string Kind, double Share)[] Kinds =
        [("caption", .26), ("vqa", .26), ("object", .12), ("color", .1), ("shape", .1), ("count", .05), ("same", .11)];

    public static bool IsHeldOut(Thing thing) => HeldOut.Contains((thing.Color, thing.Shape));

    public static string Plural(string words) => words + (words.EndsWith("cross", StringComparison.Ordinal) ? "es" : "s");

    /// <summary>Every combination of size, color and shape; the held-out ones, or all others.</summary>
    public static IEnumerable<Thing> Things(bool heldOut = false) =>
        from size in Sizes from color in Colors from shape in Shapes
        let thing = new Thing(size, color, shape)
        where IsHeldOut(thing) == heldOut
        select thing;

    public Thing Thing(string? color = null, string? shape = null, bool heldOut = false)
    {
        while (true)
        {
            var thing = new Thing(Any(Sizes), color ?? Any(Colors), shape ?? Any(Shapes));
            if (IsHeldOut(thing) == heldOut || shape == NinthShape) return thing;
        }
    }

    public Scene Scene() => random.NextDouble() switch
    {
        < .45 => new(Thing()),
        < .75 => pairs is null ? Pair(Thing()) : Any(pairs),
        _ => new(Thing(), Count: random.Next(2, 5)),
    };

    /// <summary>A scene of two things that differ in color and in shape.</summary>
    public Scene Pair(Thing one)
    {
        Thing other;
        do other = Thing();
        while (other.Color == one.Color || other.Shape == one.Shape);
        return random.Next(2) == 0 ? new(one, other, Any("left of", "above")) : new(other, one, Any("left of", "above"));
    }

    /// <summary>An episode of some kind, in the shares and lengths of the data that the shipped model learnt from.</summary>
    public IReadOnlyList<Turn> Episode()
    {
        var (at, chance) = (0, random.NextDouble());
        while (at < Kinds.Length - 1 && chance >= Kinds[at].Share) chance -= Kinds[at++].Share;
        return Kinds[at].Kind switch
        {
            "caption" => Captions(random.Next(1, 6)),
            "vqa" => Questions(random.Next(1, 6)),
            "same" => Comparisons(random.Next(1, 4)),
            var kind => Naming(kind, random.Next(2, 5)),
        };
    }

    public IReadOnlyList<Turn> Captions(int count) => [.. Enumerable.Range(0, count).Select(_ => Caption(Scene()))];

    public static Turn Caption(Scene scene) => new(scene, "Output:", scene.Description);

    public IReadOnlyList<Turn> Questions(int count) => [.. Enumerable.Range(0, count).Select(_ => Question(Scene()))];

    /// <summary>Two pictures each, and the question whether the second has the color or the shape of the first.</summary>
    public IReadOnlyList<Turn> Comparisons(int count)
    {
        var turns = new List<Turn>();
        for (var i = 0; i < count; i++)
        {
            var (first, second, what, isSame) = (Thing(), Thing(), Any("color", "shape"), random.Next(2) == 0);
            while (isSame != (what == "color" ? second.Color == first.Color : second.Shape == first.Shape))
                second = !isSame ? Thing() : what == "color" ? Thing(color: first.Color) : Thing(shape: first.Shape);
            turns.Add(new(new(first), "First.", ""));
            turns.Add(new(new(second), $"Question:same {what} as the first? Short answer:", isSame ? "yes" : "no"));
        }

        return turns;
    }

    /// <summary>New words for some values of one property, which only the episode's own pictures explain.</summary>
    /// <param name="kind">What the words mean: "object" (a color and a shape), "color", "shape" or "count".</param>
    /// <param name="ways">The number of words.</param>
    /// <param name="shots">The number of examples before the last picture; null: by chance, and mostly each word at least once.</param>
    public IReadOnlyList<Turn> Naming(string kind, int ways, int? shots = null)
    {
        (string? Color, string? Shape, int Count)[] values = kind switch
        {
            "object" => [.. Things().Select(thing => ((string?)thing.Color, (string?)thing.Shape, 1)).Distinct()],
            "color" => [.. Colors.Select(color => ((string?)color, (string?)null, 1))],
            "shape" => [.. Shapes.Select(shape => ((string?)null, (string?)shape, 1))],
            _ => [.. Enumerable.Range(1, 4).Select(count => ((string?)null, (string?)null, count))],
        };
        random.Shuffle(values);
        string[] names = [.. words];
        random.Shuffle(names);
        var length = shots ?? (random.NextDouble() < .85 ? ways + random.Next(6) : random.Next(1, ways + 1));

        // The examples go round all words before a word comes again. Then their order is lost. The last one is asked.
        var rounds = new List<int>();
        while (rounds.Count < length)
        {
            int[] round = [.. Enumerable.Range(0, ways)];
            random.Shuffle(round);
            rounds.AddRange(round);
        }

        int[] sequence = [.. rounds.Take(length)];
        random.Shuffle(sequence);
        return [.. sequence.Append(Any(sequence)).Select(way => new Turn(
            new(Thing(values[way].Color, values[way].Shape), Count: values[way].Count), "This is a", " " + names[way]))];
    }

    private Turn Question(Scene scene)
    {
        var thing = scene.Second is not null && random.Next(2) == 0 ? scene.Second : scene.First;
        var (question, answer) = scene switch
        {
            { Count: > 1 } => Any("count", "count", "color", "shape") switch
            {
                "count" => ("how many shapes are there?", Numbers[scene.Count - 1]),
                "color" => ($"what color are the {Plural(thing.Shape)}?", thing.Color),
                _ => ($"what shapes are {thing.Color}?", Plural(thing.Shape)),
            },
            { Second: null } => AboutOne(Any("color", "shape", "size", "is there", "count"), thing, scene),
            _ => AboutOne(Any("color", "shape", "size", "relation", "relation", "is there"), thing, scene),
        };
        return new(scene, $"Question:{question} Short answer:", answer);
    }

    private (string Question, string Answer) AboutOne(string what, Thing thing, Scene scene)
    {
        var opposite = scene.Relation == "left of" ? "right of" : "below";
        return what switch
        {
            "count" => ("how many shapes are there?", "one"),
            "color" => ($"what color is the {thing.Shape}?", thing.Color),
            "shape" => ($"what shape is {thing.Color}?", thing.Shape),
            "size" => ($"what size is the {thing.Shape}?", thing.Size),
            "relation" when thing == scene.First => ($"which shape is {scene.Relation} the {scene.Second!.Shape}?", thing.Shape),
            "relation" => ($"which shape is {opposite} the {scene.First.Shape}?", thing.Shape),
            _ when random.Next(2) == 0 => ($"is there a {thing.Color} {thing.Shape}?", "yes"),
            _ => ($"is there a {Any([.. Colors.Except([scene.First.Color, scene.Second?.Color ?? ""])])} {thing.Shape}?", "no"),
        };
    }

    private T Any<T>(params IReadOnlyList<T> values) => values[random.Next(values.Count)];
}
