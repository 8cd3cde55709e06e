using System.Text;
using CsCheck;
using Flamingo.LanguageModel.Tokenization;

namespace Flamingo.LanguageModel.Tests.Tokenization;

/// <summary>Compares the composition with ICU, for numbers of marks that ICU can sort in reasonable time.</summary>
public sealed class CanonicalCompositionTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3); // reached only if the time is quadratic: ICU would take hours

    // Marks of many classes, of class 0, marks that decompose or compose or are above U+FFFF, and a few characters that are not marks.
    private static readonly string[] Marks =
    [
        "\u0300", "\u0301", "\u0308", "\u0316", "\u0323", "\u0327", "\u0334", "\u0338", "\u0344", "\u0340", "\u0345", "\u034F", "\u0361",
        "\u035C", "\u0591", "\u05B0", "\u064B", "\u0651", "\u0654", "\u0711", "\u093C", "\u094D", "\u0E38", "\u0E48", "\u0F71", "\u0F72",
        "\u0F73",
        "\u0F75", "\u0F81", "\u1161", "\u302A", "\u3099", "\u309A", "\uFB1E", "\uFE20", "\U0001D165", "\U0001D16D", "\U0001E8D0", "\u0903",
        "\u09BE", "\u20DD", "\u200D",
    ];

    [Fact]
    public void Long_runs_of_marks_are_composed_as_ICU_composes_them() =>
        Gen.Select(
            OneOf("", "a", "é", "xyz ", "\u1100", "\u09C7"), OneOf(Marks).Array[60, 400].Select(string.Concat), OneOf("", "b\u0301", "日"))
            .Array[1, 3].Select(parts => string.Concat(parts.Select(part => part.Item1 + part.Item2 + part.Item3)))
            .Sample(text => CanonicalComposition.Compose(text) == text.Normalize(NormalizationForm.FormC), iter: 2_000);

    [Fact]
    public void Any_marks_at_all_keep_their_order()
    {
        var all = Enumerable.Range(0x300, 0x20000 - 0x300)
            .Where(Rune.IsValid)
            .Select(value => new Rune(value))
            .Where(
                rune =>
                    Rune.GetUnicodeCategory(rune) is System.Globalization.UnicodeCategory.NonSpacingMark
                        or System.Globalization.UnicodeCategory.SpacingCombiningMark)
            .Select(rune => rune.ToString())
            .ToArray();
        Assert.InRange(all.Length, 2000, 4000);
        Gen.Shuffle(all)
            .Select(string.Concat)
            .Sample(text => CanonicalComposition.Compose(text) == text.Normalize(NormalizationForm.FormC), iter: 5);
    }

    [Fact]
    public void The_one_character_that_dotnet_refuses_stays_between_what_is_composed()
    {
        var many = string.Concat(Enumerable.Repeat("\u0301\u0316", 50));
        Assert.Equal(
            $"é\uFFFE{("a" + many).Normalize(NormalizationForm.FormC)}\uFFFE\uFFFE",
            CanonicalComposition.Compose($"e\u0301\uFFFEa{many}\uFFFE\uFFFE"));
        Assert.Equal([66, 173, 125, 124, 67], TokenizerFiles.Load(TokenizerFiles.Reference()).Encode("a\uFFFEb"));
    }

    [Fact]
    public async Task A_megabyte_of_marks_upon_one_letter_is_composed_in_reasonable_time()
    {
        const int Half = 1 << 20;
        var (above, below) = (new string('\u0301', Half), new string('\u0316', Half));
        var composed = await Task.Run(() => CanonicalComposition.Compose("a" + above + below)).WaitAsync(Patience);
        Assert.Equal("á" + below + above[1..], composed);
    }

    private static Gen<string> OneOf(params string[] texts) => Gen.Int[0, texts.Length - 1].Select(index => texts[index]);
}
