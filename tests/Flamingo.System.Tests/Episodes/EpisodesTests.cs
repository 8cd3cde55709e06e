using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.SystemTests.Embedded;

namespace Flamingo.SystemTests.Episodes;

/// <summary>The default model on its whole evaluation, from PNG files to words, against the original code's answers.</summary>
public sealed class EpisodesTests(ITestOutputHelper output)
{
    [Fact(Timeout = 900_000)]
    public async Task Every_answer_is_the_originals_word_for_word()
    {
        var golden = Episode.Golden;
        var cancellation = TestContext.Current.CancellationToken;
        await using var embedded = await EmbeddedFlamingo.StartAsync();

        // One after the other on purpose: the figure to meet is the answers, and pictures come from the latent cache after their first use.
        var different = new List<string>();
        var right = new Dictionary<string, (int Right, int Of)>();
        foreach (var expected in golden.Answers)
        {
            var episode = Episode.All[expected.Episode];
            var request = new FlamingoRequest(episode.Segments(expected.Shots), new SamplingParameters { MaxTokens = 14 });
            var answer = await embedded.Flamingo.CompleteAsync(request, cancellation);
            if (answer.Text != expected.Text || !answer.Ids.SequenceEqual(expected.Ids))
                different.Add($"episode {expected.Episode} with {expected.Shots} shots: '{answer.Text}' "
                    + $"[{string.Join(' ', answer.Ids)}], the original '{expected.Text}' [{string.Join(' ', expected.Ids)}]");
            var row = $"{episode.Task} at {expected.Shots} shots";
            var sofar = right.GetValueOrDefault(row);
            right[row] = (sofar.Right + (answer.Text == episode.Answer ? 1 : 0), sofar.Of + 1);
        }

        output.WriteLine($"{golden.Answers.Count - different.Count} of {golden.Answers.Count} answers are the original's.");
        foreach (var line in different) output.WriteLine(line);
        foreach (var (row, (yes,
            of)) in right) output.WriteLine($"{row}: {(double)yes / of:0.000} of {of}, the original {golden.Table[row].Accuracy:0.000}");

        Assert.Equal(1200, golden.Answers.Count);
        Assert.True(different.Count <= golden.Answers.Count * 0.005, string.Join('\n', different));
        Assert.Equal(golden.Table.Keys.Order(), right.Keys.Order());
        foreach (var (row, (yes, of)) in right)
        {
            Assert.Equal(golden.Table[row].N, of);
            // The accuracies must match the original table, except for the answers that differ.
            Assert.InRange(Math.Abs(((double)yes / of) - golden.Table[row].Accuracy), 0, 0.0005 + ((double)different.Count / of));
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task Prompts_are_tokenized_as_the_original_did()
    {
        await using var embedded = await EmbeddedFlamingo.StartAsync();
        foreach (var golden in Episode.Golden.Answers.Where(answer => answer.PromptIds is not null))
        {
            var segments = Episode.All[golden.Episode].Segments(golden.Shots).Select(segment => segment switch
            {
                FlamingoText text => (PromptSegment)new TextSegment(text.Text),
                _ => new PictureSegment(new string('0', 64), null),
            });
            Assert.Equal(golden.PromptIds,
                await embedded.LanguageModel.TokenizeAsync([.. segments], TestContext.Current.CancellationToken));
        }
    }
}
