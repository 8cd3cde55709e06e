using Flamingo.Evaluation.Metrics;
using Xunit;

namespace Flamingo.Evaluation.Tests.Metrics;

/// <summary>Cases that the recorded scores of the original programs do not have; each follows from their definition.</summary>
public class MetricTests
{
    [Theory]
    [InlineData("A man isn't riding his brother's bike.", "a man is n't riding his brother 's bike")]
    [InlineData("They'll say it's \"nice\"!", "they 'll say it 's nice")]
    [InlineData("you cannot see it; gonna go", "you can not see it gon na go")]
    [InlineData("A grey cat in a colourful neighbourhood", "a grey cat in a colourful neighbourhood")]
    [InlineData("a t-shirt, two old-fashioned clocks - and 1,000 bees", "a t-shirt two old-fashioned clocks and 1,000 bees")]
    [InlineData("Mr. Smith at 10:30 p.m.", "mr. smith at 10:30 p.m.")]
    [InlineData("a (very) big [red] bus", "a -lrb- very -rrb- big -lsb- red -rsb- bus")]
    [InlineData("half price 50% at $5 & more", "half price 50 % at $ 5 & more")]
    [InlineData("a black/white photo -- old…", "a black/white photo old")]
    [InlineData("y'all at two o'clock", "y' all at two o'clock")]
    [InlineData("  many\n  lines \t here ", "many lines here")]
    [InlineData("A £5 or 50¢ or €2 toy, ½ price", "a # 5 or 50 cents or $ 2 toy 1/2 price")]
    [InlineData("'Twas the '90s; give 'em o’clock", "'t was the '90s give 'em o’clock")]
    [InlineData("a dog., cat; AT&T B&W <b>big</b>", "a dog. cat at&t b&w <b> big </b>")]
    [InlineData("call (555) 123-4567 at 5 7/8 :) ok", "call -lrb-555-rrb- 123-4567 at 5 7/8 :-rrb- ok")]
    [InlineData("a U.S. flag in the U.K. vitamin c. The end", "a u.s. flag in the u.k. vitamin c the end")]
    [InlineData("“curly” ‘quotes’ don’t – stop… ----- emoji 😀", "curly quotes do n't stop ----- emoji")]
    [InlineData("...", "")]
    [InlineData("", "")]
    public void Captions_are_split_as_in_the_Penn_Treebank(string caption, string words) =>
        Assert.Equal(words, string.Join(' ', CaptionTokenizer.Split(caption)));

    [Fact]
    public void The_next_caption_decides_whether_a_letter_keeps_its_period()
    {
        string[] Words(params string[] captions) => [.. CaptionTokenizer.SplitAll(captions).Select(words => string.Join(' ', words))];
        Assert.Equal(["vitamin c", "the dog", ""], Words("vitamin c.", "The dog", ""));
        Assert.Equal(["vitamin c.", "the dog"], Words("vitamin c.", "the dog"));
        Assert.Empty(Words());
    }

    [Fact]
    public void Any_text_is_split_and_nothing_takes_long()
    {
        var random = new Random(7);
        for (var round = 0; round < 2000; round++)
            CaptionTokenizer.Split(
                new string([.. Enumerable.Range(0, 40).Select(_ => (char)random.Next(1, random.Next(2) == 0 ? 128 : 0x3000))]));
        Assert.NotEmpty(CaptionTokenizer.Split(new string('a', 20_000) + " " + string.Concat(Enumerable.Repeat("a.", 5_000))));
    }

    [Fact]
    public void A_caption_that_equals_a_reference_has_the_largest_cider()
    {
        string[][] references = [["a red cat", "a cat"], ["two dogs in the park", "dogs"], ["a blue bus on a street", "bus"]];
        double Score(params string[] captions) => Cider.Of([.. captions.Select(CaptionTokenizer.Split)],
            [.. references.Select(several => several.Select(CaptionTokenizer.Split).ToArray())]).Average();
        var right = Score("a red cat", "two dogs in the park", "a blue bus on a street");
        Assert.True(right > 4);
        Assert.True(Score("a blue bus on a street", "a red cat", "two dogs in the park") < 0.1 * right);
        Assert.Equal(0, Score("", "", ""));
        Assert.True(Score("a red cat a red cat a red cat", "two dogs in the park", "a blue bus on a street") < right);
    }

    [Theory]
    [InlineData("Yes", 1, 0, 0.3)] // one of ten said so: a third for each of the nine who are left
    [InlineData("yes", 3, 0, 0.9)]
    [InlineData("the yes.", 4, 0, 1)]
    [InlineData("2", 0, 10, 1)]
    [InlineData("two", 0, 10, 1)]
    [InlineData("2", 0, 9, 1)]
    [InlineData("", 4, 0, 0)]
    public void Answers_count_as_in_the_official_evaluation(string prediction, int yes, int two, double accuracy)
    {
        string[] answers =
            [.. Enumerable.Repeat("yes", yes), .. Enumerable.Repeat("two", two), .. Enumerable.Repeat("no", 10 - yes - two)];
        Assert.Equal(accuracy, VqaAccuracy.Of(prediction, answers), 9);
    }

    [Fact]
    public void Equal_scores_count_as_half_and_one_class_has_no_area()
    {
        Assert.Equal(1, RocAuc.Of([false, true], [0.1, 0.2]));
        Assert.Equal(0, RocAuc.Of([true, false], [0.1, 0.2]));
        Assert.Equal(0.5, RocAuc.Of([true, false, true, false], [1, 1, 1, 1]));
        Assert.True(double.IsNaN(RocAuc.Of([true, true], [1, 2])));
    }
}
