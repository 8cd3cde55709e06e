namespace Flamingo.Evaluation.Metrics;

/// <summary>
/// CIDEr of captions as pycocoevalcap computes it (Vedantam et al. 2015, with the clipping and the length penalty of CIDEr-D): the cosine
/// of the weighted 1- to 4-grams of a caption and of each reference, where n-grams in the references of few pictures weigh more.
/// </summary>
public static class Cider
{
    private const int LongestNgram = 4;
    private const double LengthSigma = 6;

    /// <param name="captions">A caption for each picture, tokenized by <see cref="CaptionTokenizer"/>.</param>
    /// <param name="references">The references of each picture, tokenized likewise; at least one each.</param>
    /// <returns>The score of each picture, 0 to 10; the benchmark's score is their mean, and papers print it × 100.</returns>
    /// <remarks>The weights come from the references given: the score of one picture alone is 0, because all its words are everywhere.
    /// </remarks>
    public static double[] Of(IReadOnlyList<IReadOnlyList<string>> captions, IReadOnlyList<IReadOnlyList<IReadOnlyList<string>>> references)
    {
        if (captions.Count != references.Count)
            throw new ArgumentException($"There are references of {references.Count} pictures for {captions.Count} captions.",
                nameof(references));
        if (references.Any(several => several.Count == 0))
            throw new ArgumentException("A picture without references has no CIDEr.", nameof(references));
        var counted = references.Select(several => several.Select(Count).ToArray()).ToArray();
        var pictures = new Dictionary<string, int>(StringComparer.Ordinal); // of how many pictures the references have an n-gram
        foreach (var several in counted)
            foreach (var ngram in several.SelectMany(one => one.SelectMany(counts => counts.Keys)).Distinct(StringComparer.Ordinal))
                pictures[ngram] = pictures.GetValueOrDefault(ngram) + 1;

        var all = Math.Log(references.Count);
        double Weight(string ngram) => all - Math.Log(Math.Max(1, pictures.GetValueOrDefault(ngram)));
        var scores = new double[captions.Count];
        for (var picture = 0; picture < scores.Length; picture++)
        {
            var caption = Vector.Of(Count(captions[picture]), Weight);
            scores[picture] = 10 * counted[picture].Average(reference => caption.Similarity(Vector.Of(reference, Weight)));
        }

        return scores;
    }

    /// <summary>Scores captions as they were written, tokenized together as the original tokenizes all captions of a run.</summary>
    /// <inheritdoc cref="Of(IReadOnlyList{IReadOnlyList{string}}, IReadOnlyList{IReadOnlyList{IReadOnlyList{string}}})"/>
    public static double[] OfTexts(IReadOnlyList<string> captions, IReadOnlyList<IReadOnlyList<string>> references)
    {
        var words = CaptionTokenizer.SplitAll([.. references.SelectMany(several => several)]);
        var (split, next) = (new IReadOnlyList<IReadOnlyList<string>>[references.Count], 0);
        for (var picture = 0; picture < split.Length; next += references[picture++].Count)
            split[picture] = [.. words.Skip(next).Take(references[picture].Count)];
        return Of(CaptionTokenizer.SplitAll(captions), split);
    }

    // How often each n-gram occurs, by length.
    private static Dictionary<string, int>[] Count(IReadOnlyList<string> words)
    {
        var counts = new Dictionary<string, int>[LongestNgram];
        for (var length = 1; length <= LongestNgram; length++)
        {
            var ofLength = counts[length - 1] = new(StringComparer.Ordinal);
            for (var start = 0; start + length <= words.Count; start++)
            {
                var ngram = string.Join(' ', words.Skip(start).Take(length));
                ofLength[ngram] = ofLength.GetValueOrDefault(ngram) + 1;
            }
        }

        return counts;
    }

    // The weighted counts of n-grams by length, with their norms. Bigrams is the number of bigrams, which the original calls the length.
    private sealed record Vector(Dictionary<string, double>[] Weighted, double[] Norms, int Bigrams)
    {
        public static Vector Of(Dictionary<string, int>[] counts, Func<string, double> weight)
        {
            var weighted = counts.Select(ofLength => ofLength.ToDictionary(
                pair => pair.Key, pair => pair.Value * weight(pair.Key), StringComparer.Ordinal)).ToArray();
            var norms = weighted.Select(ofLength => Math.Sqrt(ofLength.Values.Sum(value => value * value))).ToArray();
            return new(weighted, norms, counts[1].Values.Sum());
        }

        public double Similarity(Vector reference)
        {
            double sum = 0;
            for (var length = 0; length < LongestNgram; length++)
            {
                double product = 0;
                foreach (var (ngram, value) in Weighted[length])
                    if (reference.Weighted[length].TryGetValue(ngram, out var other)) product += Math.Min(value, other) * other;
                if (Norms[length] != 0 && reference.Norms[length] != 0) product /= Norms[length] * reference.Norms[length];
                sum += product;
            }

            var difference = Bigrams - reference.Bigrams;
            return sum / LongestNgram * Math.Exp(-(double)difference * difference / (2 * LengthSigma * LengthSigma));
        }
    }
}
