using System.Text;
using Flamingo.Abstractions;
using Flamingo.Gateway.SupportSets;

namespace Flamingo.Gateway.Tests.SupportSets;

internal static class NewSets
{
    /// <summary>Creates a set with one example for each text, whose picture is the text's bytes.</summary>
    public static NewSet Of(string name, params string[] texts) => new(
        name, DateTimeOffset.UnixEpoch, null, "vision",
        [.. texts.Select(text => new StoredShot(IdOf(text), text, new byte[] { 1, 2, 3, 4 }))],
        texts.ToDictionary(IdOf, text => VisualInput.Still(Encoding.UTF8.GetBytes(text))));

    /// <summary>Creates a set with one picture of this size.</summary>
    public static NewSet Sized(string name, int bytes) => Of(name, "x") with
    {
        Pictures = new Dictionary<string, VisualInput> { [IdOf("x")] = VisualInput.Still(new byte[bytes]) },
    };

    public static string IdOf(string text) => $"id of {text}";
}
