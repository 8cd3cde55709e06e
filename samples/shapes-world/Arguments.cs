/// <summary>Options with one value each. The first mistake is kept and told, with what would have been right.</summary>
internal sealed class Arguments(string[] args)
{
    private readonly HashSet<string> _known = [];
    private string? _problem;

    public string? Problem
    {
        get
        {
            for (var i = 0; i < args.Length && _problem is null; i += 2)
            {
                if (!_known.Contains(args[i])) _problem = $"'{args[i]}' is no option. These are: {string.Join(", ", _known.Order())}.";
                else if (i + 1 == args.Length) _problem = $"{args[i]} has no value. Write one behind it.";
            }

            if (_problem is null && args.Length == 0) _problem = "Say what to write, for example --pictures 1000 --episodes 2000.";
            if (_problem is null && Text("--episodes") is not null && Text("--pictures") is null)
                _problem = "--episodes choose from the pictures of --pictures. Add it, for example --pictures 32368.";
            return _problem;
        }
    }

    public string? Text(string name)
    {
        _known.Add(name);
        for (var i = 0; i + 1 < args.Length; i += 2) if (args[i] == name) return args[i + 1];
        return null;
    }

    public int Number(string name, int otherwise, int least = 0)
    {
        if (Text(name) is not { } text) return otherwise;
        if (int.TryParse(text, out var number) && number >= least && number <= 10_000_000) return number;
        _problem ??= $"{name} is '{text}'. Give a whole number from {least} to 10000000.";
        return otherwise;
    }
}
