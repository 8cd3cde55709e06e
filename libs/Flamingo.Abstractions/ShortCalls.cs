namespace Flamingo.Abstractions;

/// <summary>
/// Short forms of the calls of <see cref="IFlamingo"/>, <see cref="ITasks"/> and <see cref="ISupportSets"/>, for whatever
/// implements them.
/// </summary>
public static class ShortCalls
{
    extension(IFlamingo flamingo)
    {
        /// <summary>Streams the answer to a prompt.</summary>
        /// <param name="sampling">Null: greedy, 32 tokens.</param>
        /// <inheritdoc cref="IFlamingo.GenerateAsync"/>
        public IAsyncEnumerable<AnswerEvent> GenerateAsync(
            Prompt prompt, SamplingParameters? sampling = null, CancellationToken cancellation = default) =>
            flamingo.GenerateAsync(new FlamingoRequest(prompt.Segments, sampling ?? new SamplingParameters()), cancellation);

        /// <summary>The whole answer to a prompt at once.</summary>
        /// <param name="sampling">Null: greedy, 32 tokens.</param>
        /// <exception cref="FlamingoException">As <see cref="IFlamingo.GenerateAsync"/>.</exception>
        public Task<Answer> CompleteAsync(Prompt prompt, SamplingParameters? sampling = null, CancellationToken cancellation = default) =>
            Answer.ReadAsync(flamingo.GenerateAsync(prompt, sampling, cancellation), cancellation);

        /// <summary>
        /// The whole answer to everything that can be asked: examples from a support set, a pinned prefix, attention maps.
        /// </summary>
        /// <exception cref="FlamingoException">As <see cref="IFlamingo.GenerateAsync"/>.</exception>
        public Task<Answer> CompleteAsync(FlamingoRequest request, CancellationToken cancellation = default) =>
            Answer.ReadAsync(flamingo.GenerateAsync(request, cancellation), cancellation);

        /// <inheritdoc cref="IFlamingo.RankAsync"/>
        public Task<FlamingoRanking> RankAsync(Prompt prompt, IEnumerable<string> candidates, CancellationToken cancellation = default) =>
            flamingo.RankAsync(new FlamingoRankRequest(prompt.Segments, [.. candidates]), cancellation);

        /// <param name="pictures">Encoded files.</param>
        /// <param name="includePooled">Whether to return CLIP's pooled embedding of each picture too.</param>
        /// <inheritdoc cref="IFlamingo.EncodeAsync"/>
        public Task<FlamingoEncoding> EncodeAsync(
            IEnumerable<ReadOnlyMemory<byte>> pictures, bool includePooled = false, CancellationToken cancellation = default) =>
            flamingo.EncodeAsync(
                new FlamingoEncodeRequest([.. pictures.Select(picture => new FlamingoPicture(picture))], includePooled), cancellation);
    }

    extension(ITasks tasks)
    {
        /// <summary>What is in a picture, asked in the words that the checkpoint was trained on.</summary>
        /// <param name="picture">An encoded file.</param>
        /// <inheritdoc cref="ITasks.CaptionAsync"/>
        public Task<TaskAnswer> CaptionAsync(ReadOnlyMemory<byte> picture, CancellationToken cancellation = default) =>
            tasks.CaptionAsync(new CaptionTask(Asking(picture), new SamplingParameters()), cancellation);

        /// <summary>The answer to a question about a picture.</summary>
        /// <inheritdoc cref="CaptionAsync(ITasks, ReadOnlyMemory{byte}, CancellationToken)"/>
        public Task<TaskAnswer> AnswerAsync(ReadOnlyMemory<byte> picture, string question, CancellationToken cancellation = default) =>
            tasks.AnswerAsync(new AnswerTask(Asking(picture), question, new SamplingParameters()), cancellation);

        /// <summary>Which of several labels a picture has, best first.</summary>
        /// <inheritdoc cref="CaptionAsync(ITasks, ReadOnlyMemory{byte}, CancellationToken)"/>
        public Task<Classification> ClassifyAsync(
            ReadOnlyMemory<byte> picture, IEnumerable<string> labels, CancellationToken cancellation = default) =>
            tasks.ClassifyAsync(new ClassifyTask(Asking(picture), [.. labels]), cancellation);

        /// <summary>Streams the model's next words in a conversation.</summary>
        /// <param name="sampling">Null: greedy, 32 tokens.</param>
        /// <inheritdoc cref="ITasks.ChatAsync"/>
        public IAsyncEnumerable<AnswerEvent> ChatAsync(
            Conversation conversation, SamplingParameters? sampling = null, CancellationToken cancellation = default) =>
            tasks.ChatAsync(new ChatTask([.. conversation.Turns], sampling ?? new SamplingParameters()), cancellation);

        /// <summary>The model's next words as a whole: <c>conversation.Assistant(answer.Text)</c> goes on from there.</summary>
        /// <inheritdoc cref="ChatAsync(ITasks, Conversation, SamplingParameters?, CancellationToken)"/>
        public Task<Answer> ReplyAsync(
            Conversation conversation, SamplingParameters? sampling = null, CancellationToken cancellation = default) =>
            Answer.ReadAsync(tasks.ChatAsync(conversation, sampling, cancellation), cancellation);

        /// <inheritdoc cref="ReplyAsync(ITasks, Conversation, SamplingParameters?, CancellationToken)"/>
        public Task<Answer> ReplyAsync(ChatTask task, CancellationToken cancellation = default) =>
            Answer.ReadAsync(tasks.ChatAsync(task, cancellation), cancellation);
    }

    extension(ISupportSets sets)
    {
        /// <param name="name">1 to 128 of <c>A-Z a-z 0-9 . _ -</c></param>
        /// <param name="examples">An encoded file each, and what is to be said of it, without the end-of-chunk token.</param>
        /// <param name="timeToLive">Null: until it is deleted.</param>
        /// <param name="expectedVersion">
        /// Refused as Conflict unless the set has this version, 0 for "not there yet"; null replaces whatever is there.
        /// </param>
        /// <inheritdoc cref="ISupportSets.PutAsync"/>
        public Task<SupportSet> PutAsync(
            string name, IEnumerable<(ReadOnlyMemory<byte> Picture, string Text)> examples, TimeSpan? timeToLive = null,
            long? expectedVersion = null, CancellationToken cancellation = default)
        {
            var stored = examples.Select(example => new SupportExample(new FlamingoPicture(example.Picture), example.Text));
            return sets.PutAsync(new PutSupportSet(name, [.. stored], timeToLive, expectedVersion), cancellation);
        }

        /// <summary>A set of the default tenant.</summary>
        /// <inheritdoc cref="ISupportSets.GetAsync"/>
        public Task<SupportSet> GetAsync(string name, CancellationToken cancellation = default) =>
            sets.GetAsync(TenantName.Default, name, cancellation);

        /// <summary>The default tenant's sets by name, without their examples.</summary>
        public Task<IReadOnlyList<SupportSet>> ListAsync(CancellationToken cancellation = default) =>
            sets.ListAsync(TenantName.Default, cancellation);

        /// <summary>Deletes a set of the default tenant.</summary>
        /// <inheritdoc cref="ISupportSets.DeleteAsync"/>
        public Task DeleteAsync(string name, CancellationToken cancellation = default) =>
            sets.DeleteAsync(TenantName.Default, name, cancellation);
    }

    private static TaskPrompt Asking(ReadOnlyMemory<byte> picture) => new(new FlamingoPicture(picture));
}
