using CsCheck;
using Flamingo.LanguageModel.Engine.Sampling;

namespace Flamingo.LanguageModel.Engine.Tests.Sampling;

public sealed class BeamSearchTests
{
    [Fact]
    public void Agrees_with_transformers_line_by_line() =>
        Gen.Select(Gen.ULong, Gen.Int[1, 4], Gen.Float[-1, 2], Gen.Int[1, 3], Gen.Int[1, 6], Gen.Int[1, 10])
            .Sample((seed, beams, penalty, stopCount, promptTokens, room) =>
    {
        int[] stops = [.. Enumerable.Range(0, stopCount)];
        var expected = TransformersBeamSearch.Search(Likelihoods, () => true, beams, penalty, stops, promptTokens, promptTokens + room);
        var actual = Search(Likelihoods, beams, penalty, stops, promptTokens, promptTokens + room);
        Assert.Equal(expected.Count, actual.Count);
        foreach (var (one, other) in expected.Zip(actual))
        {
            Assert.Equal(one.Ids, other.Ids);
            Assert.Equal((one.Score, one.Stopped), (other.Score, other.Stopped));
        }

        float[] Likelihoods(IReadOnlyList<int> ids) =>
            LogProbabilities.LogSoftmax(
                [
                    .. Enumerable.Range(0, 18)
                        .Select(
                            token =>
                                (float)(CounterGenerator.Uniform(ids.Aggregate(seed, (sum, id) => (sum * 31) + (ulong)id + 7), token) * 5))
                ]);
    }, iter: 3000);

    // There are as many beams as sequences of tokens, so nothing is pruned and the best of all sequences is found.
    [Fact]
    public void With_enough_beams_it_finds_the_best_sequence_of_all() => Gen.Select(Gen.ULong, Gen.Float[0, 1.5f]).Sample((seed, penalty) =>
    {
        const int stop = 3, room = 3, vocabulary = 4, prompt = 2;
        var best = double.NegativeInfinity;
        void Walk(List<int> ids, double sum)
        {
            if (ids.Count == room) best = Math.Max(best, sum / Math.Pow(prompt + room, penalty));
            if (ids.Count == room) return;
            var scores = Likelihoods(ids);
            best = Math.Max(best, (sum + scores[stop]) / Math.Pow(prompt + ids.Count, penalty));
            for (var token = 0; token < stop; token++) Walk([.. ids, token], sum + scores[token]);
        }

        Walk([], 0);
        var found = Search(Likelihoods, 64, penalty, [stop], prompt, prompt + room);
        Assert.Equal(best, found[0].Score, 9);

        float[] Likelihoods(IReadOnlyList<int> ids) =>
            LogProbabilities.LogSoftmax(
                [
                    .. Enumerable.Range(0, vocabulary)
                        .Select(
                            token =>
                                (float)(CounterGenerator.Uniform(ids.Aggregate(seed, (sum, id) => (sum * 31) + (ulong)id + 7), token) * 5))
                ]);
    }, iter: 300);

    [Fact]
    public void A_token_that_is_not_allowed_is_in_no_beam()
    {
        // two sequences are allowed and three beams are requested
        static float[] Likelihoods(IReadOnlyList<int> ids) =>
            ids.Count == 0
                ? [float.NegativeInfinity, -0.2f, -1.7f, float.NegativeInfinity]
                : [float.NegativeInfinity, float.NegativeInfinity, float.NegativeInfinity, -0.1f];
        var found = Search(Likelihoods, 3, 0, [3], 1, 9);
        Assert.Equal([[1, 3], [2, 3]], found.Select(hypothesis => hypothesis.Ids));
        Assert.All(found, hypothesis => Assert.True(double.IsFinite(hypothesis.Score)));
    }

    [Fact]
    public void Ends_when_no_open_beam_can_beat_what_is_kept()
    {
        var search = new BeamSearch(1, 0, [0], 1, 100);
        search.Step([[-3, -0.1f, -9]]);
        Assert.Equal((false, 1), (search.IsDone, search.Length));
        search.Step([[-0.01f, -5, -9]]);
        Assert.True(search.IsDone);
        Assert.Equal([1, 0], search.Best(1)[0].Ids);
    }

    private static IReadOnlyList<BeamHypothesis> Search(
        Func<IReadOnlyList<int>, float[]> likelihoods, int beams, float penalty, int[] stops, int promptTokens, int capacity)
    {
        var search = new BeamSearch(beams, penalty, stops, promptTokens, capacity);
        for (List<int[]> open = [[]]; !search.IsDone;)
        {
            var kept = search.Step([.. open.Select(ids => likelihoods(ids))]);
            open = [.. kept.Select(beam => (int[])[.. open[beam.Parent], beam.Token])];
        }

        return search.Best(beams);
    }
}
