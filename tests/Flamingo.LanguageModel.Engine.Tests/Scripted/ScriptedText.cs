using System.Text;

namespace Flamingo.LanguageModel.Engine.Tests.Scripted;

/// <summary>One fixed text for each id. A '~' at its end means that the next id completes the character.</summary>
internal sealed class ScriptedText(params string[] texts) : ITokenStream
{
    private string _held = "";

    /// <summary>A letter for every id: a, b, c.</summary>
    public static ScriptedText Letters() => new([.. Enumerable.Range(0, ScriptedModel.Vocabulary).Select(Letter)]);

    public static string Letter(int id) => ((char)('a' + id)).ToString();

    public string Push(int id)
    {
        var text = _held + (id < texts.Length ? texts[id] : $"[{id}]");
        _held = "";
        if (!text.EndsWith('~')) return text;
        _held = text[..^1];
        return "";
    }

    public ReadOnlyMemory<byte> TextOf(int id) => Encoding.UTF8.GetBytes(id < texts.Length ? texts[id] : $"[{id}]");

    public string Flush()
    {
        var rest = _held;
        _held = "";
        return rest;
    }
}
